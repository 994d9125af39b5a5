//! Where an instance keeps what must outlive it: saved apps, logs, schedules.
//!
//! Only says where and makes the directory; who writes a file decides what is in it.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The home (state directory) of a user's instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    path: PathBuf,
}

impl Home {
    /// `$STEAD_HOME`, else `$XDG_STATE_HOME/stead`, else `~/.local/state/stead`; `/var/lib/stead` for a user without a home.
    pub fn of(variable: impl Fn(&str) -> Option<OsString>) -> Home {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // A relative path would mean another place in every directory (XDG says to ignore it too).
        let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
        let path = if let Some(path) = variable("STEAD_HOME") {
            std::path::absolute(&path).unwrap_or(path)
        } else if let Some(path) = absolute("XDG_STATE_HOME") {
            path.join("stead")
        } else if let Some(path) = absolute("HOME") {
            path.join(".local/state/stead")
        } else {
            PathBuf::from("/var/lib/stead")
        };
        Home { path }
    }

    /// That of this process's environment.
    pub fn here() -> Home {
        Home::of(|name| std::env::var_os(name))
    }

    /// Where it is; absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, if it is not there, for this user alone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)
    }

    /// The apps that `stead save` keeps.
    pub fn saved_apps(&self) -> PathBuf {
        self.path.join("apps.json")
    }

    /// What the background instance says about itself.
    pub fn daemon_log(&self) -> PathBuf {
        self.path.join("daemon.log")
    }

    /// What is known of an app's schedules.
    pub fn schedules(&self, app: &str) -> PathBuf {
        self.path.join("schedules").join(app)
    }

    /// Logs of an app, where its configuration does not name another place.
    pub fn logs(&self, app: &str) -> PathBuf {
        self.path.join("logs").join(app)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_follows_the_environment() {
        let check = |variables: &[(&str, &str)], expected: &str| {
            let home = Home::of(|name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
            });
            assert_eq!(home.path(), Path::new(expected), "{variables:?}");
        };
        check(&[("STEAD_HOME", "/a"), ("XDG_STATE_HOME", "/b"), ("HOME", "/c")], "/a");
        check(&[("XDG_STATE_HOME", "/b"), ("HOME", "/c")], "/b/stead");
        check(&[("XDG_STATE_HOME", "b"), ("HOME", "/c")], "/c/.local/state/stead");
        check(&[("STEAD_HOME", ""), ("HOME", "/c")], "/c/.local/state/stead");
        check(&[], "/var/lib/stead");
    }

    #[test]
    fn it_is_made_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let home = Home { path: folder.path().join("a/b") };
        home.create().unwrap();
        home.create().unwrap();
        assert_eq!(home.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(home.logs("shop").ends_with("a/b/logs/shop"));
    }
}
