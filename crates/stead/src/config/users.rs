//! Users and groups by their names or numbers, and who a worker runs as.
//!
//! They are looked up when the configuration is read, because between fork and exec nothing may be looked up.

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use std::ffi::CString;
use std::path::PathBuf;

/// A user that a worker is to run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownUser {
    pub(super) uid: u32,
    /// What the system's list of users says; nothing for a number that is not in it.
    pub(super) entry: Option<UserEntry>,
}

/// What the system's list says of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UserEntry {
    pub(super) name: String,
    pub(super) gid: u32,
    pub(super) home: PathBuf,
}

/// Who is running this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A user and the groups of a worker; nothing where nothing is to be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) groups: Vec<u32>,
}

impl Caller {
    pub(super) fn of_this_process() -> Caller {
        Caller { uid: Uid::effective().as_raw(), gid: Gid::effective().as_raw() }
    }
}

/// Finds a user.
pub(super) fn find_user(text: &str) -> Result<KnownUser, String> {
    let number = text.parse::<u32>().ok();
    let found = match number {
        Some(uid) => User::from_uid(Uid::from_raw(uid)),
        None => User::from_name(text),
    };
    match (found, number) {
        (Ok(Some(user)), _) => Ok(KnownUser {
            uid: user.uid.as_raw(),
            entry: Some(UserEntry { name: user.name, gid: user.gid.as_raw(), home: user.dir }),
        }),
        (Ok(None), Some(uid)) => Ok(KnownUser { uid, entry: None }),
        (Ok(None), None) => Err(format!("there is no user `{text}`")),
        (Err(error), _) => Err(format!("user `{text}` cannot be looked up: {}", error.desc())),
    }
}

/// Finds a group.
pub(super) fn find_group(text: &str) -> Result<u32, String> {
    if let Ok(gid) = text.parse::<u32>() {
        return Ok(gid);
    }
    match Group::from_name(text) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(format!("there is no group `{text}`")),
        Err(error) => Err(format!("group `{text}` cannot be looked up: {}", error.desc())),
    }
}

/// Who a worker runs as.
///
/// # Errors
/// A message for people, when that cannot be or must not be.
pub(super) fn owner(user: Option<&KnownUser>, gid: Option<u32>, caller: Caller) -> Result<Owner, String> {
    let Some(gid) = gid.or_else(|| user?.entry.as_ref().map(|entry| entry.gid)) else {
        return match user {
            // Without a group of its own it would keep root's.
            Some(user) => Err(format!("user {} is not in the list of users, so it needs a `gid`", user.uid)),
            None => Ok(Owner::default()),
        };
    };
    if caller.uid != 0 {
        let own = user.is_none_or(|user| user.uid == caller.uid) && gid == caller.gid;
        return match own {
            true => Ok(Owner::default()),
            false => Err("only root can run a program as another user or group".to_owned()),
        };
    }
    let groups = match user.and_then(|user| user.entry.as_ref()) {
        Some(entry) => groups_of(&entry.name, gid),
        None => vec![gid],
    };
    Ok(Owner { uid: user.map(|user| user.uid), gid: Some(gid), groups })
}

/// The user's groups and `gid`; `gid` alone when they cannot be found out, which grants less.
fn groups_of(name: &str, gid: u32) -> Vec<u32> {
    let found = CString::new(name).ok().and_then(|name| getgrouplist(&name, Gid::from_raw(gid)).ok());
    found.map_or_else(|| vec![gid], |groups| groups.into_iter().map(Gid::as_raw).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Caller = Caller { uid: 0, gid: 0 };
    const ALICE: Caller = Caller { uid: 1000, gid: 1000 };

    fn user(uid: u32, gid: Option<u32>) -> KnownUser {
        let entry =
            gid.map(|gid| UserEntry { name: "nobody-has-this-name".to_owned(), gid, home: "/srv".into() });
        KnownUser { uid, entry }
    }

    #[test]
    fn root_exists_everywhere() {
        let root = find_user("root").unwrap();
        assert_eq!((root.uid, root.entry.as_ref().map(|entry| entry.gid)), (0, Some(0)));
        assert_eq!(find_user("0").unwrap(), root);
        assert_eq!(find_group("root").or_else(|_| find_group("wheel")), Ok(0));
        assert_eq!(find_group("4711"), Ok(4711));
    }

    #[test]
    fn unknown_names_are_errors_and_unknown_numbers_are_not() {
        assert_eq!(find_user("no-such-user").unwrap_err(), "there is no user `no-such-user`");
        assert_eq!(find_group("no-such-group").unwrap_err(), "there is no group `no-such-group`");
        assert_eq!(find_user("4000000").unwrap(), KnownUser { uid: 4_000_000, entry: None });
    }

    #[test]
    fn only_root_may_run_a_program_as_somebody_else() {
        let check = |user: Option<KnownUser>, gid, caller, expected: Result<Owner, &str>| {
            assert_eq!(owner(user.as_ref(), gid, caller), expected.map_err(str::to_owned));
        };
        let refused = Err("only root can run a program as another user or group");
        let changed = |uid, gid| Ok(Owner { uid, gid: Some(gid), groups: vec![gid] });
        check(None, None, ALICE, Ok(Owner::default()));
        check(Some(user(1000, Some(1000))), None, ALICE, Ok(Owner::default()));
        check(Some(user(1001, Some(1001))), None, ALICE, refused.clone());
        check(None, Some(4), ALICE, refused.clone());
        check(Some(user(1000, Some(1000))), Some(4), ALICE, refused);
        check(Some(user(1001, Some(100))), None, ROOT, changed(Some(1001), 100));
        check(Some(user(1001, Some(100))), Some(4), ROOT, changed(Some(1001), 4));
        check(None, Some(4), ROOT, changed(None, 4));
        check(Some(user(5, None)), Some(4), ROOT, changed(Some(5), 4));
        check(
            Some(user(5, None)),
            None,
            ROOT,
            Err("user 5 is not in the list of users, so it needs a `gid`"),
        );
    }
}
