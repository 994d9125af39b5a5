//! Where logs are, and which of them words mean.
//!
//! Running instances tell where their apps' logs are; what is in the home belongs to apps as well that do not run any more,
//! or whose daemon does not answer.

use super::fleet::Fleet;
use super::selector::{nothing_found, select};
use super::{ExitCode, Report, TargetArguments};
use std::path::{Path, PathBuf};
use stead_control::{AppStatus, Home, RuntimeDirectory, Text};
use stead_logs::access_directory;

/// Logs that can be read.
#[derive(Debug)]
pub(super) struct Places {
    apps: Vec<AppStatus>,
    /// Directories in the home, by the names of apps.
    kept: Vec<(String, PathBuf)>,
    here: PathBuf,
}

/// One that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The name of the app.
    pub(super) app: String,
    pub(super) directory: PathBuf,
    /// One of its workers, if not all.
    pub(super) instance: Option<u32>,
}

impl Places {
    /// Asks the instances that run, and looks into the home. An instance that does not answer hides no log, unless it is
    /// the one that was named.
    pub(super) async fn find(
        target: &TargetArguments,
        directory: &RuntimeDirectory,
    ) -> Result<Places, Report> {
        let is_named = target.pid.is_some() || target.socket.is_some();
        let members = match Fleet::find(target, directory).await {
            Ok(fleet) => fleet.members,
            Err(report) if is_named => return Err(report),
            Err(_unreachable) => Vec::new(),
        };
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let kept = if is_named { Vec::new() } else { kept(&Home::here().path().join("logs"))? };
        Ok(Places { apps: members.into_iter().flat_map(|member| member.status.apps).collect(), kept, here })
    }

    /// The same for the access logs that are kept beside them.
    pub(super) fn of_requests(mut self) -> Places {
        for (_, directory) in &mut self.kept {
            *directory = access_directory(directory);
        }
        for logs in self.apps.iter_mut().filter_map(|app| app.logs.as_mut()) {
            *logs = Text::from(access_directory(logs.as_path()));
        }
        self
    }

    /// What the words mean, each directory once; everything without words.
    pub(super) fn choose(&self, words: &[String]) -> Result<Vec<Place>, Report> {
        let mut places: Vec<Place> = Vec::new();
        let mut add = |place: Place| {
            let covers = |other: &Place| {
                other.directory == place.directory
                    && (other.instance.is_none() || other.instance == place.instance)
            };
            if !places.iter().any(covers) {
                places.push(place);
            }
        };
        if words.is_empty() || words == ["all"] {
            self.all().for_each(&mut add);
            return Ok(places);
        }
        for word in words {
            self.of(word)?.into_iter().for_each(&mut add);
        }
        Ok(places)
    }

    fn all(&self) -> impl Iterator<Item = Place> {
        let running = self.apps.iter().filter_map(|app| place(app, None));
        let kept = self.kept.iter().filter(|(name, _)| self.apps.iter().all(|app| app.name != *name));
        running.chain(kept.map(|(name, directory)| Place {
            app: name.clone(),
            directory: directory.clone(),
            instance: None,
        }))
    }

    fn of(&self, word: &str) -> Result<Vec<Place>, Report> {
        let found = select(word, &self.apps, &self.here)?;
        let places: Vec<Place> =
            found.iter().filter_map(|(index, slot)| place(&self.apps[*index], *slot)).collect();
        if let (true, Some((index, _))) = (places.is_empty(), found.first()) {
            return Err(keeps_none(&self.apps[*index].name));
        }
        if !places.is_empty() {
            return Ok(places);
        }
        // A worker may have printed something and be gone since; so may the app.
        let named = |name: &str, instance| {
            self.all().find(|place| place.app == name).map(|place| Place { instance, ..place })
        };
        let worker = || {
            let (app, instance) = word.rsplit_once('.')?;
            named(app, Some(instance.parse().ok()?))
        };
        let names: Vec<String> = self.all().map(|place| place.app).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        named(word, None).or_else(worker).map(|place| vec![place]).ok_or_else(|| nothing_found(word, &names))
    }
}

fn place(app: &AppStatus, instance: Option<u32>) -> Option<Place> {
    let directory = app.logs.as_ref()?.as_path().to_owned();
    Some(Place { app: app.name.clone(), directory, instance })
}

fn keeps_none(app: &str) -> Report {
    Report::new(ExitCode::Failure, format!("app `{app}` keeps no logs"))
        .hint("they are off, or go to the terminal it was started from; `logs = DIR` in its file keeps them")
}

/// The directories in a directory, by name. One that is not there has none.
fn kept(logs: &Path) -> Result<Vec<(String, PathBuf)>, Report> {
    let failed = |error: std::io::Error| {
        Report::new(ExitCode::Failure, format!("failed to read {}", logs.display())).cause(error.to_string())
    };
    let entries = match std::fs::read_dir(logs) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut kept = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if let (true, Some(name)) = (path.is_dir(), path.file_name()) {
            kept.push((name.to_string_lossy().into_owned(), path));
        }
    }
    kept.sort();
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::status;

    #[test]
    fn words_mean_apps_that_run_then_those_that_did() {
        let kept = ["old", "shop"].map(|name| (name.to_owned(), PathBuf::from("/srv").join(name)));
        let places = Places { apps: status().apps, kept: kept.to_vec(), here: PathBuf::from("/") };
        let check = |words: &[&str], expected: Result<&[(&str, Option<u32>)], &str>| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let chosen = places.choose(&words);
            let chosen = chosen.as_ref().map_err(|report| report.message.as_str()).map(|places| {
                let places = places.iter();
                places.map(|place| (place.directory.to_str().unwrap(), place.instance)).collect::<Vec<_>>()
            });
            assert_eq!(chosen, expected.map(<[_]>::to_vec), "{words:?}");
        };
        let (shop, old) = ("/var/lib/stead/logs/shop", "/srv/old");
        check(&[], Ok(&[(shop, None), (old, None)]));
        check(&["all"], Ok(&[(shop, None), (old, None)]));
        check(&["shop", "0"], Ok(&[(shop, None)]));
        check(&["shop.1", "old.7", "old.7"], Ok(&[(shop, Some(1)), (old, Some(7))]));
        check(&["shop.77"], Ok(&[(shop, Some(77))]));
        check(&["api"], Err("app `api` keeps no logs"));
        check(&["odl"], Err("there is no app `odl`"));
    }
}
