//! The file that holds apps over a reboot: `apps.json` in the home, and `apps.json.1`, the one before.
//!
//! It is replaced whole or not at all. A damaged one is never deleted: it is put aside under a name that says when, and the
//! one before it is used. It holds environments, so only its owner can read it.

use rustix::fs::{AtFlags, CWD, linkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use stead_control::{Home, SavedApp};

/// Of the file's format; a file with a larger number is a newer version's.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    apps: Vec<SavedApp>,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// In the order they were saved in.
    pub apps: Vec<SavedApp>,
    /// What a person should know about how they were found; whole sentences' fragments.
    pub notes: Vec<String>,
}

/// Why nothing is saved or found.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// Nothing was ever saved there.
    #[error("no apps were saved in `{}`", home.display())]
    Nothing {
        /// Where.
        home: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("failed to {what} `{}`", path.display())]
    Refused {
        /// "read", "write".
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A newer version wrote it.
    #[error("`{}` was written by a newer version of Stead (format {format}, this one knows {FORMAT})", path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// Neither the file nor the one before it can be understood. Both were put aside.
    #[error("the saved apps in `{}` are damaged", home.display())]
    Damaged {
        /// Where.
        home: PathBuf,
        /// What was put aside, and why it is not understood.
        notes: Vec<String>,
    },
}

/// Saves apps in place of those saved before; returns where.
///
/// # Errors
/// When it cannot be written; what was saved before is then still there.
pub fn store(home: &Home, apps: &[SavedApp]) -> Result<PathBuf, SavedError> {
    let path = home.saved_apps();
    let refused = |source| SavedError::Refused { what: "write", path: path.clone(), source };
    home.create().map_err(refused)?;
    let document = Document { format: FORMAT, apps: apps.to_vec() };
    let text = format!("{:#}\n", serde_json::json!(document));
    let new = beside(&path, &format!("new-{}", std::process::id()));
    let replaced = write(&new, text.as_bytes()).and_then(|()| keep_previous(&path)).and_then(|()| {
        std::fs::rename(&new, &path)?;
        // So that the new name is there after a power cut too.
        File::open(home.path())?.sync_all()
    });
    replaced.map_err(|error| {
        // It may not be there, or the disk is in no state to be tidied.
        drop(std::fs::remove_file(&new));
        refused(error)
    })?;
    Ok(path)
}

/// The apps saved last that can be understood.
///
/// # Errors
/// When there are none.
pub fn load(home: &Home) -> Result<Saved, SavedError> {
    let path = home.saved_apps();
    let mut notes = Vec::new();
    let mut there = false;
    for (path, previous) in [(path.clone(), false), (beside(&path, "1"), true)] {
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(SavedError::Refused { what: "read", path, source }),
        };
        there = true;
        match understand(&text) {
            Ok(Document { format, .. }) if format > FORMAT => return Err(SavedError::Newer { path, format }),
            Ok(Document { apps, .. }) => {
                if previous {
                    notes.push(format!("the apps saved before are used, from `{}`", path.display()));
                }
                return Ok(Saved { apps, notes });
            }
            Err(error) => notes.push(put_aside(&path, &error)),
        }
    }
    let home = home.path().to_owned();
    Err(if there { SavedError::Damaged { home, notes } } else { SavedError::Nothing { home } })
}

fn understand(text: &[u8]) -> Result<Document, serde_json::Error> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    // A newer format may hold what this one cannot read; its number is all there is to know.
    let Format { format } = serde_json::from_slice(text)?;
    if format > FORMAT { Ok(Document { format, apps: Vec::new() }) } else { serde_json::from_slice(text) }
}

fn put_aside(path: &Path, why: &serde_json::Error) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let aside = beside(path, &format!("damaged-{now}"));
    let kept = match std::fs::rename(path, &aside) {
        Ok(()) => format!("it was kept as `{}`", aside.display()),
        Err(error) => format!("it could not be put aside: {error}"),
    };
    format!("`{}` is damaged ({why}); {kept}", path.display())
}

/// The file that is there now becomes the one before, without a moment in which there is none.
fn keep_previous(path: &Path) -> io::Result<()> {
    let (link, previous) = (beside(path, "old"), beside(path, "1"));
    // A remainder of an attempt that was interrupted.
    drop(std::fs::remove_file(&link));
    match linkat(CWD, path, CWD, &link, AtFlags::empty()) {
        Ok(()) => std::fs::rename(&link, previous),
        Err(Errno::NOENT) => Ok(()),
        // A file system without links.
        Err(_) => std::fs::copy(path, previous).map(|_| ()),
    }
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use stead_control::{Definition, Text};

    fn stage() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("home");
        let home = Home::of(|name| (name == "STEAD_HOME").then(|| path.clone().into()));
        (folder, home)
    }

    fn app(name: &str) -> SavedApp {
        let definition = Definition {
            arguments: vec![Text::from("server.js")],
            directory: Text::from("/srv"),
            environment: vec![(Text::from("A"), Text::from("1"))],
        };
        SavedApp { id: 0, name: name.to_owned(), definition, wanted: true, instances: Some(3) }
    }

    fn names(home: &Home) -> Vec<String> {
        let entries = std::fs::read_dir(home.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_stored_is_loaded_and_the_one_before_is_kept() {
        let (_folder, home) = stage();
        assert!(matches!(load(&home), Err(SavedError::Nothing { .. })));
        let path = store(&home, &[app("shop")]).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load(&home).unwrap(), Saved { apps: vec![app("shop")], notes: Vec::new() });
        store(&home, &[app("blog")]).unwrap();
        store(&home, &[app("wiki")]).unwrap();
        assert_eq!(load(&home).unwrap().apps, [app("wiki")]);
        assert_eq!(names(&home), ["apps.json", "apps.json.1"]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(load(&home).unwrap().apps, [app("blog")]);
    }

    #[test]
    fn a_damaged_file_is_kept_aside_and_the_one_before_used() {
        let whole = {
            let (_folder, home) = stage();
            std::fs::read(store(&home, &[app("shop")]).unwrap()).unwrap()
        };
        // Cut off anywhere, or of another kind.
        let half = whole.len() / 2;
        let cases: [&[u8]; 6] = [b"", b"{", b"[]", b"{\"format\": 1}", &whole[..half], b"\0\0\0\0"];
        for damage in cases {
            let (_folder, home) = stage();
            store(&home, &[app("shop")]).unwrap();
            store(&home, &[app("blog")]).unwrap();
            std::fs::write(home.saved_apps(), damage).unwrap();
            let saved = load(&home).unwrap();
            assert_eq!(saved.apps, [app("shop")], "{damage:?}");
            assert_eq!(saved.notes.len(), 2, "{:?}", saved.notes);
            let names = names(&home);
            assert!(names.iter().any(|name| name.starts_with("apps.json.damaged-")), "{names:?}");
        }
    }

    #[test]
    fn two_damaged_files_are_an_error_that_names_both() {
        let (_folder, home) = stage();
        store(&home, &[app("shop")]).unwrap();
        store(&home, &[app("shop")]).unwrap();
        std::fs::write(home.saved_apps(), "{").unwrap();
        std::fs::write(beside(&home.saved_apps(), "1"), "{").unwrap();
        match load(&home) {
            Err(SavedError::Damaged { notes, .. }) => assert_eq!(notes.len(), 2, "{notes:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(names(&home).len(), 2, "both are still there");
    }

    #[test]
    fn a_newer_format_is_left_alone() {
        let (_folder, home) = stage();
        home.create().unwrap();
        std::fs::write(home.saved_apps(), r#"{"format": 2, "apps": {}}"#).unwrap();
        assert!(matches!(load(&home), Err(SavedError::Newer { format: 2, .. })));
        assert_eq!(names(&home), ["apps.json"]);
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was_there() {
        let (_folder, home) = stage();
        store(&home, &[app("shop")]).unwrap();
        // A directory in the place of the new file cannot be written, whoever one is.
        std::fs::create_dir(beside(&home.saved_apps(), &format!("new-{}", std::process::id()))).unwrap();
        assert!(matches!(store(&home, &[app("blog")]), Err(SavedError::Refused { what: "write", .. })));
        assert_eq!(load(&home).unwrap().apps, [app("shop")]);
    }
}
