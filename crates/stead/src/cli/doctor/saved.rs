//! The apps that are kept over a reboot, and whether they are those that run. Only reads: a damaged file is left where it is.

use super::finding::{Finding, Verdict};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use stead_control::{Home, Status};

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Saved {
    Nothing,
    Apps(BTreeSet<String>),
    Unreadable { path: PathBuf, why: String },
}

impl Saved {
    /// There is something to start after a reboot.
    pub(super) fn is_worth_starting(&self) -> bool {
        !matches!(self, Saved::Nothing)
    }
}

pub(super) fn look(home: &Home) -> Saved {
    #[derive(Deserialize)]
    struct Document {
        apps: Vec<App>,
    }
    #[derive(Deserialize)]
    struct App {
        name: String,
    }
    let path = home.saved_apps();
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Saved::Nothing,
        Err(error) => return Saved::Unreadable { path, why: error.to_string() },
    };
    match serde_json::from_slice::<Document>(&text) {
        Ok(document) => Saved::Apps(document.apps.into_iter().map(|app| app.name).collect()),
        Err(error) => Saved::Unreadable { path, why: error.to_string() },
    }
}

pub(super) fn judge(saved: &Saved, background: Option<&Status>) -> Finding {
    let finding = |verdict, text: String| Finding::new("saved", verdict, text);
    let running: BTreeSet<String> =
        background.into_iter().flat_map(|status| &status.apps).map(|app| app.name.clone()).collect();
    match saved {
        Saved::Unreadable { path, why } => {
            finding(Verdict::Failure, format!("{} cannot be read: {why}", path.display())).advice(
                "`stead resurrect` uses the one before it (apps.json.1); `stead save` writes a new one",
            )
        }
        Saved::Nothing if running.is_empty() => finding(Verdict::Ok, "nothing, and nothing runs".to_owned()),
        Saved::Nothing => {
            finding(Verdict::Warning, "what runs is not kept over a reboot".to_owned()).advice("stead save")
        }
        Saved::Apps(kept) if background.is_none() || *kept == running => {
            finding(Verdict::Ok, format!("{} apps", kept.len()))
        }
        Saved::Apps(kept) => {
            let list = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(", ");
            let unsaved = list(running.difference(kept).collect());
            let gone = list(kept.difference(&running).collect());
            let mut parts = Vec::new();
            if !unsaved.is_empty() {
                parts.push(format!("not kept: {unsaved}"));
            }
            if !gone.is_empty() {
                parts.push(format!("kept, and not there any more: {gone}"));
            }
            finding(Verdict::Warning, parts.join("; ")).advice("stead save")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;
    use crate::cli::test_support::status;

    fn apps(names: &[&str]) -> Saved {
        Saved::Apps(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn what_is_kept_is_compared_with_what_runs() {
        let status = status();
        check(&judge(&Saved::Nothing, None), Verdict::Ok, "nothing runs");
        check(&judge(&Saved::Nothing, Some(&status)), Verdict::Warning, "not kept over a reboot");
        check(&judge(&apps(&["api", "shop"]), Some(&status)), Verdict::Ok, "2 apps");
        check(&judge(&apps(&["x"]), None), Verdict::Ok, "1 apps");
        let differing = judge(&apps(&["shop", "old"]), Some(&status));
        check(&differing, Verdict::Warning, "not kept: api; kept, and not there any more: old");
        let broken = Saved::Unreadable { path: "/h/apps.json".into(), why: "expected `}`".to_owned() };
        check(&judge(&broken, None), Verdict::Failure, "/h/apps.json cannot be read: expected `}`");
    }

    #[test]
    fn the_file_is_read_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::of(|name| (name == "STEAD_HOME").then(|| folder.path().into()));
        assert_eq!(look(&home), Saved::Nothing);
        crate::cli::saved::store(&home, &[]).unwrap();
        assert_eq!(look(&home), apps(&[]));
        std::fs::write(home.saved_apps(), "{").unwrap();
        assert!(matches!(look(&home), Saved::Unreadable { .. }));
        assert_eq!(std::fs::read_to_string(home.saved_apps()).unwrap(), "{");
    }
}
