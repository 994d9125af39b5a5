//! Watch mode: a rolling reload when files change, with what git ignores left out.
//!
//! Each directory is watched by itself and not the whole tree, so that `node_modules` costs nothing. Editors that save by
//! renaming, and directories that are made later, are seen by what happens in the directory above.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use notify::event::EventKind;
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::app::AppTask;
use super::message::Message;
use super::renew::Renewal;
use crate::config::WatchSettings;

/// Never watched, whatever git says.
const ALWAYS_IGNORED: [&str; 3] = [".git", "node_modules", "*.log"];
/// The patterns of one directory.
const IGNORE_FILE: &str = ".gitignore";

/// Watches until it is dropped.
pub(super) struct Watching(JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The directories that are watched, and what in them is not.
struct Trees {
    watcher: RecommendedWatcher,
    /// Patterns of the settings and those that always hold; relative to what is watched.
    own: Vec<Gitignore>,
    /// Patterns in files, outer directories first.
    files: Vec<Gitignore>,
}

impl AppTask {
    /// Watches what the settings of this moment name.
    pub(super) fn watch(&mut self) {
        self.watching = None;
        let Some(settings) = self.settings.watch.clone() else { return };
        let (sender, events) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Nobody watches any more when this fails.
            drop(sender.send(event));
        });
        let logs = self.outlet.directory().map(Path::to_owned);
        let trees = watcher.and_then(|watcher| Trees::new(watcher, &settings, logs.as_deref()));
        match trees {
            Ok(trees) => {
                let following = follow(trees, events, (settings.delay, self.inbox.clone()));
                self.watching = Some(Watching(tokio::spawn(following)));
            }
            Err(error) => self.say(&format!("its files cannot be watched: {}", explain(&error))),
        }
    }
}

impl Trees {
    fn new(
        watcher: RecommendedWatcher,
        settings: &WatchSettings,
        logs: Option<&Path>,
    ) -> notify::Result<Self> {
        let own = settings.paths.iter().map(|root| {
            let mut builder = GitignoreBuilder::new(directory_of(root));
            let patterns = ALWAYS_IGNORED.into_iter().chain(settings.ignore.iter().map(String::as_str));
            for pattern in patterns {
                // They were checked when they were read; one that is none ignores nothing.
                let _refused = builder.add_line(None, pattern).is_ok();
            }
            if let Some(inside) = logs.and_then(|logs| logs.strip_prefix(directory_of(root)).ok()) {
                let _refused = builder.add_line(None, &format!("/{}/", inside.display())).is_ok();
            }
            builder.build().unwrap_or_else(|_| Gitignore::empty())
        });
        let mut trees = Self { watcher, own: own.collect(), files: Vec::new() };
        for path in &settings.paths {
            if path.is_dir() { trees.add(path)? } else { trees.watch(directory_of(path))? }
        }
        Ok(trees)
    }

    /// A directory and all below it that are not ignored.
    fn add(&mut self, root: &Path) -> notify::Result<()> {
        let mut waiting = vec![root.to_owned()];
        while let Some(directory) = waiting.pop() {
            self.watch(&directory)?;
            let patterns = directory.join(IGNORE_FILE);
            if patterns.exists() {
                // Lines of it that are no patterns ignore nothing.
                self.files.push(Gitignore::new(&patterns).0);
            }
            let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
            let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            waiting.extend(below.map(|entry| entry.path()).filter(|path| !self.ignores(path, true)));
        }
        Ok(())
    }

    fn watch(&mut self, directory: &Path) -> notify::Result<()> {
        self.watcher.watch(directory, RecursiveMode::NonRecursive)
    }

    fn ignores(&self, path: &Path, is_directory: bool) -> bool {
        // `Some` when these patterns say something about it.
        let says = |patterns: &Gitignore| {
            let is_below = path.starts_with(patterns.path());
            let found = is_below.then(|| patterns.matched_path_or_any_parents(path, is_directory))?;
            (!found.is_none()).then(|| found.is_ignore())
        };
        let own = self.own.iter().find_map(says) == Some(true);
        // The innermost file that says something about it decides.
        own || self.files.iter().rev().find_map(says) == Some(true)
    }

    /// What of an event is a reason to reload.
    fn changed(&mut self, event: notify::Event) -> Option<PathBuf> {
        if matches!(event.kind, EventKind::Access(_)) {
            return None;
        }
        let mut changed = None;
        for path in event.paths {
            let is_directory = path.is_dir();
            if self.ignores(&path, is_directory) {
                continue;
            }
            if is_directory && matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_)) {
                // One that is gone again, or too many: what was watched before still is.
                let _refused = self.add(&path).is_ok();
            }
            changed.get_or_insert(path);
        }
        changed
    }
}

async fn follow(
    mut trees: Trees,
    mut events: mpsc::UnboundedReceiver<notify::Result<notify::Event>>,
    (delay, inbox): (Duration, mpsc::UnboundedSender<Message>),
) {
    while let Some(event) = events.recv().await {
        let Some(first) = event.ok().and_then(|event| trees.changed(event)) else { continue };
        // An editor, or git, writes many files: it is over when nothing happens for a while.
        while let Ok(Some(event)) = tokio::time::timeout(delay, events.recv()).await {
            let _also = event.ok().and_then(|event| trees.changed(event));
        }
        let text = format!("{} changed", first.display());
        let said = inbox.send(Message::Say(text)).is_ok();
        if !said || inbox.send(Message::Renew(Renewal::reload())).is_err() {
            return;
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    if path.is_dir() { path } else { path.parent().unwrap_or(path) }
}

fn explain(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "there are too many directories; `sysctl fs.inotify.max_user_watches` sets how many may be watched".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_ignores_is_not_watched() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for directory in ["src/deep", "node_modules/left-pad", "dist", "src/gen", "own"] {
            std::fs::create_dir_all(at(directory)).unwrap();
        }
        std::fs::write(at(".gitignore"), "dist/\n*.tmp\n").unwrap();
        std::fs::write(at("src/.gitignore"), "gen/\n!keep.tmp\n").unwrap();
        let settings = WatchSettings {
            paths: vec![folder.path().to_owned()],
            ignore: vec!["own/".to_owned()],
            delay: Duration::ZERO,
        };
        let watcher = notify::recommended_watcher(|_event: notify::Result<notify::Event>| ()).unwrap();
        let trees = Trees::new(watcher, &settings, Some(&at("kept/logs"))).unwrap();
        let check = |path: &str, ignored: bool| {
            let is_directory = at(path).is_dir();
            assert_eq!(trees.ignores(&at(path), is_directory), ignored, "{path}");
        };
        check("src/deep/server.js", false);
        check("server.js", false);
        check("node_modules/left-pad/index.js", true);
        check(".git/index", true);
        check("dist/bundle.js", true);
        check("src/gen/out.js", true);
        check("notes.tmp", true);
        check("src/keep.tmp", false);
        check("own/file.js", true);
        check("server.log", true);
        check("kept/logs/current", true);
    }
}
