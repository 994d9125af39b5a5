//! Which apps a word means. Pure: it is given the apps there are.
//!
//! | written | means, in this order |
//! |---|---|
//! | `all` | every app |
//! | `/shop-.*/`, `/shop/i` | every app whose name fits the pattern |
//! | `shop` | the app of this name |
//! | `back` | every app of this namespace |
//! | `3` | the app with this number |
//! | `shop.1`, `3.1` | worker 1 of an app, for verbs that can do something with one worker |
//! | `stead.toml` | every app that this file defines |

use super::{ExitCode, Report};
use crate::config::{names_apps, nearest};
use regex_lite::{Regex, RegexBuilder};
use std::path::Path;
use stead_control::AppStatus;

/// What was found: the place of the app in the list, and which of its workers is meant, if not all.
pub(super) type Found = (usize, Option<u32>);

/// The apps among `apps` that a word means; none when it means none of them. Files are relative to `directory`.
///
/// # Errors
/// When the word is a pattern and a wrong one.
pub(super) fn select(word: &str, apps: &[AppStatus], directory: &Path) -> Result<Vec<Found>, Report> {
    let all = |fits: &dyn Fn(&AppStatus) -> bool| -> Vec<Found> {
        let found = apps.iter().enumerate().filter(|(_, app)| fits(app));
        found.map(|(index, _)| (index, None)).collect()
    };
    if word == "all" {
        return Ok(all(&|_| true));
    }
    if let Some(pattern) = pattern(word) {
        let pattern = pattern?;
        return Ok(all(&|app| pattern.is_match(&app.name)));
    }
    let id = word.parse::<u32>().ok();
    let file = directory.join(word);
    let ways: [&dyn Fn(&AppStatus) -> bool; 4] =
        [&|app| app.name == word, &|app| app.namespace == word, &|app| Some(app.id) == id, &|app| {
            app.file.as_ref().is_some_and(|other| is_same(other.as_path(), &file))
        }];
    let found = ways.iter().map(|way| all(way)).find(|found| !found.is_empty());
    Ok(found.unwrap_or_else(|| worker(word, apps).into_iter().collect()))
}

/// Whether a word can only be meant for apps and not for a file.
pub(super) fn is_pattern(word: &str) -> bool {
    pattern(word).is_some()
}

/// What to say when a word means none of the apps with these names.
pub(super) fn nothing_found(word: &str, names: &[&str]) -> Report {
    if let Some((app, slot)) = word.rsplit_once('.')
        && names.contains(&app)
        && slot.parse::<u32>().is_ok()
    {
        return Report::new(ExitCode::NotRunning, format!("app `{app}` has no worker {slot}"))
            .hint(format!("`stead show {app}` lists its workers"));
    }
    let what = match pattern(word) {
        _ if word == "all" => "there are no apps".to_owned(),
        Some(_) => format!("no app's name fits `{word}`"),
        None => format!("there is no app `{word}`"),
    };
    let report = Report::new(ExitCode::NotRunning, what);
    let known = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match nearest(word, names.iter().copied()) {
        _ if names_apps(Path::new(word)) => {
            report.hint(format!("`stead startOrReload {word}` starts the apps of this file"))
        }
        _ if names.is_empty() => report.hint("`stead start server.js` adds one"),
        Some(meant) => report.hint(format!("did you mean `{meant}`?")),
        None => report.hint(format!("there are: {known}")),
    }
}

/// `/text/` and `/text/i`.
fn pattern(word: &str) -> Option<Result<Regex, Report>> {
    let (text, flags) = word.strip_prefix('/')?.rsplit_once('/')?;
    if text.is_empty() || !matches!(flags, "" | "i") {
        return None;
    }
    let pattern = RegexBuilder::new(text).case_insensitive(flags == "i").build();
    Some(pattern.map_err(|error| {
        Report::new(ExitCode::Usage, format!("`{word}` is not a pattern")).cause(error.to_string())
    }))
}

fn worker(word: &str, apps: &[AppStatus]) -> Option<Found> {
    let (app, slot) = word.rsplit_once('.')?;
    let slot: u32 = slot.parse().ok()?;
    let by_name = apps.iter().position(|other| other.name == app);
    let by_id = || apps.iter().position(|other| app.parse() == Ok(other.id));
    let index = by_name.or_else(by_id)?;
    apps[index].workers.iter().any(|worker| worker.slot == slot).then_some((index, Some(slot)))
}

fn is_same(left: &Path, right: &Path) -> bool {
    left == right
        || matches!((left.canonicalize(), right.canonicalize()), (Ok(left), Ok(right)) if left == right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::status;
    use stead_control::Text;

    fn apps() -> Vec<AppStatus> {
        let [shop, api]: [AppStatus; 2] = status().apps.try_into().unwrap();
        let other = |id, name: &str, namespace: &str| AppStatus {
            id,
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            ..api.clone()
        };
        vec![
            shop,
            api.clone(),
            other(4, "shop-2", "back"),
            other(7, "4", "default"),
            other(8, "api.1", "front"),
        ]
    }

    #[test]
    fn words_are_names_then_namespaces_then_numbers_then_workers_then_files() {
        let apps = apps();
        let check = |word: &str, expected: &[&str]| {
            let found = select(word, &apps, Path::new("/srv/shop")).unwrap();
            let names = found.into_iter().map(|(index, slot)| match slot {
                Some(slot) => format!("{} worker {slot}", apps[index].name),
                None => apps[index].name.clone(),
            });
            assert_eq!(names.collect::<Vec<_>>(), expected, "{word}");
        };
        check("all", &["shop", "api", "shop-2", "4", "api.1"]);
        check("shop", &["shop"]);
        check("back", &["api", "shop-2"]);
        check("0", &["shop"]);
        // A name comes before a number.
        check("4", &["4"]);
        check("8", &["api.1"]);
        check("api.1", &["api.1"]);
        check("shop.1", &["shop worker 1"]);
        check("0.1", &["shop worker 1"]);
        check("shop.9", &[]);
        check("/^shop/", &["shop", "shop-2"]);
        check("/SHOP/", &[]);
        check("/SHOP$/i", &["shop"]);
        check("/srv/shop/stead.toml", &["shop"]);
        check("stead.toml", &["shop"]);
        check("shpo", &[]);
        check("9", &[]);
        check("", &[]);
    }

    #[test]
    fn a_file_is_known_by_any_path_to_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("stead.toml"), "").unwrap();
        let mut apps = apps();
        apps[1].file = Some(Text::from(folder.path().join("stead.toml")));
        let found = select("./x/../stead.toml", &apps, folder.path()).unwrap();
        assert_eq!(found, [], "x does not exist");
        std::fs::create_dir(folder.path().join("x")).unwrap();
        assert_eq!(select("./x/../stead.toml", &apps, folder.path()).unwrap(), [(1, None)]);
    }

    #[test]
    fn what_is_not_found_is_explained() {
        let names = ["shop", "api"];
        let mut all = String::new();
        for (word, names) in [
            ("shpo", &names[..]),
            ("blog", &names),
            ("9", &names),
            ("/x/", &names),
            ("all", &[]),
            ("shop", &[]),
        ] {
            all.push_str(&format!("{}\n", nothing_found(word, names)));
        }
        all.push_str(&select("/(/", &apps(), Path::new("/")).unwrap_err().to_string());
        insta::assert_snapshot!(all);
    }
}
