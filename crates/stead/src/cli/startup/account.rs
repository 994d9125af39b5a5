//! For whom: a user, their home, and where their own commands look for a running instance, because a service that uses
//! other places than they do would never be found.

use super::command;
use crate::cli::{ExitCode, Report};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use stead_control::{Home, RuntimeDirectory};

/// A user, as a service needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Account {
    pub(in super::super) name: String,
    pub(in super::super) uid: u32,
    /// Home directory.
    pub(in super::super) home: PathBuf,
    /// `STEAD_HOME`.
    pub(in super::super) state: PathBuf,
    /// `STEAD_RUNTIME_DIR`.
    pub(in super::super) runtime: PathBuf,
}

impl Account {
    /// The named user; else whoever called sudo; else this one.
    ///
    /// # Errors
    /// When there is no such user.
    pub(super) fn find(name: Option<&str>, home: Option<&Path>) -> Result<Account, Report> {
        let own = rustix::process::geteuid();
        let by_sudo = std::env::var("SUDO_USER").ok().filter(|_| own.is_root());
        let wanted = match name.map(str::to_owned).or(by_sudo) {
            Some(name) => name,
            None => own.as_raw().to_string(),
        };
        let mut user = look_up(&wanted).ok_or_else(|| {
            Report::new(ExitCode::Usage, format!("there is no user `{wanted}`"))
                .hint("`-u USER` names another")
        })?;
        let is_own = user.uid == own.as_raw();
        // What commands of this shell take for the home is what the service must take for it.
        let here = std::env::var_os("HOME").map(PathBuf::from).filter(|home| is_own && home.is_absolute());
        if let Some(home) = home.map(Path::to_owned).or(here) {
            user.home = std::path::absolute(&home).unwrap_or(home);
        }
        Ok(Account::with_places(user, is_own, |name| std::env::var_os(name)))
    }

    /// This process's own user, whatever it is called.
    pub(in super::super) fn own() -> Account {
        Account::find(Some(&rustix::process::geteuid().as_raw().to_string()), None).unwrap_or_else(|_| {
            let uid = rustix::process::geteuid().as_raw();
            let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
            Account::with_places(User { name: uid.to_string(), uid, home }, true, |name| {
                std::env::var_os(name)
            })
        })
    }

    /// Where the user's commands look: by this environment if it is theirs, or says so in full; else as it will be when they
    /// log in.
    fn with_places(
        user: User,
        is_own: bool,
        variable: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Account {
        let User { name, uid, home } = user;
        let theirs = |wanted: &str| match wanted {
            "HOME" => Some(home.clone().into_os_string()),
            "XDG_STATE_HOME" if !is_own => None,
            wanted => variable(wanted),
        };
        let state = Home::of(theirs).path().to_owned();
        let runtime = RuntimeDirectory::of_user(uid, theirs).path().to_owned();
        Account { name, uid, home, state, runtime }
    }
}

/// A user as the system knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    name: String,
    uid: u32,
    home: PathBuf,
}

/// A user by name or number: from the file, else from whoever else knows users.
fn look_up(wanted: &str) -> Option<User> {
    let local = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |text: &str| text.lines().find_map(|line| parse(line, wanted));
    find(&local).or_else(|| {
        let mut getent = Command::new("getent");
        getent.args(["passwd", "--", wanted]);
        find(&String::from_utf8_lossy(&command::run(&mut getent, command::SHORT).ok()?.stdout))
    })
}

fn parse(line: &str, wanted: &str) -> Option<User> {
    let mut fields = line.split(':');
    let (name, uid) = (fields.next()?, fields.nth(1)?);
    let home = fields.nth(2)?;
    let is_wanted = name == wanted || uid == wanted;
    is_wanted.then(|| Some(User { name: name.to_owned(), uid: uid.parse().ok()?, home: home.into() }))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number() {
        let line = "shop:x:1000:1000:Shop,,,:/home2/shop:/bin/sh";
        let expected = Some(User { name: "shop".to_owned(), uid: 1000, home: "/home2/shop".into() });
        for (line, wanted, expected) in [
            (line, "shop", expected.clone()),
            (line, "1000", expected),
            (line, "root", None),
            ("", "", None),
            ("broken", "broken", None),
            ("a:b:c", "a", None),
        ] {
            assert_eq!(parse(line, wanted), expected, "{line} {wanted}");
        }
    }

    #[test]
    fn a_service_looks_where_its_user_looks() {
        let user = || User { name: "shop".to_owned(), uid: 77, home: "/srv/shop".into() };
        let check = |is_own, variables: &[(&str, &str)], state: &str, runtime: &str| {
            let variable =
                |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
            let account = Account::with_places(user(), is_own, variable);
            assert_eq!(account.state, Path::new(state), "{variables:?}");
            assert_eq!(account.runtime, Path::new(runtime), "{variables:?}");
        };
        check(true, &[("STEAD_HOME", "/a")], "/a", "/a/run");
        check(true, &[("STEAD_HOME", "/a"), ("STEAD_RUNTIME_DIR", "/b")], "/a", "/b");
        check(true, &[("XDG_STATE_HOME", "/s"), ("STEAD_RUNTIME_DIR", "/b")], "/s/stead", "/b");
        check(false, &[("STEAD_HOME", "/a")], "/a", "/a/run");
        // Another user's variables say nothing about this one's.
        let other = Account::with_places(user(), false, |name| {
            (name == "XDG_STATE_HOME").then(|| "/srv/admin/state".into())
        });
        assert_eq!(other.state, Path::new("/srv/shop/.local/state/stead"));
        assert_eq!(other.runtime, Path::new("/srv/shop/.local/state/stead/run"));
    }
}
