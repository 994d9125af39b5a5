//! The home and its disk.

use super::finding::{Finding, Verdict};
use rustix::fs::{Access, access, statvfs};
use std::path::{Path, PathBuf};

/// Below this, logs and saved apps will soon not fit.
const FREE_BYTES_LOW: u64 = 1 << 30;

/// Below this, they do not fit.
const FREE_BYTES_MIN: u64 = 20 << 20;

/// The same for the number of files.
const FREE_FILES_LOW: u64 = 1000;

/// What is known about the place of the home.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) exists: bool,
    /// It is something else than a directory.
    pub(super) blocked: bool,
    pub(super) writable: bool,
    /// Others may read it: it holds environments.
    pub(super) open_to_others: bool,
    pub(super) free_bytes: Option<u64>,
    /// Nothing when the file system does not count files.
    pub(super) free_files: Option<u64>,
}

/// Looks at it, or, when it is not there, at the nearest directory above, where it will be made.
pub(super) fn examine(home: &Path) -> Vec<Finding> {
    judge(&look(home))
}

fn look(home: &Path) -> Place {
    use std::os::unix::fs::PermissionsExt;
    let nearest = home.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let metadata = nearest.metadata().ok();
    let exists = nearest == home;
    let space = statvfs(nearest).ok();
    Place {
        path: home.to_owned(),
        exists,
        blocked: metadata.as_ref().is_some_and(|metadata| !metadata.is_dir()),
        writable: access(nearest, Access::WRITE_OK | Access::EXEC_OK).is_ok(),
        open_to_others: exists && metadata.is_some_and(|metadata| metadata.permissions().mode() & 0o077 != 0),
        free_bytes: space.as_ref().map(|space| space.f_bavail.saturating_mul(space.f_frsize)),
        free_files: space.filter(|space| space.f_files > 0).map(|space| space.f_favail),
    }
}

fn judge(place: &Place) -> Vec<Finding> {
    let Place { path, .. } = place;
    let shown = path.display();
    let home = |verdict, text: String| Finding::new("home", verdict, text);
    let first = if place.blocked {
        home(Verdict::Failure, format!("{shown} cannot be made: there is a file in its way"))
            .advice("STEAD_HOME names another place")
    } else if !place.writable {
        home(Verdict::Failure, format!("{shown} cannot be written"))
            .advice("give it to this user (`chown`, `chmod`), or name another place in STEAD_HOME")
    } else if !place.exists {
        home(Verdict::Ok, format!("{shown} will be made when it is needed"))
    } else if place.open_to_others {
        home(
            Verdict::Warning,
            format!("{shown} can be opened by other users, and holds environments of apps"),
        )
        .advice(format!("chmod 700 {shown}"))
    } else {
        home(Verdict::Ok, format!("{shown} can be written"))
    };
    vec![first, disk(place)]
}

fn disk(place: &Place) -> Finding {
    let finding = |verdict, text: String| Finding::new("disk", verdict, text);
    let advice = "make room; `stead flush` empties logs, `log_total_bytes_max` bounds them";
    match (place.free_bytes, place.free_files) {
        (None, _) => finding(Verdict::Note, "free space is not known".to_owned()),
        (Some(bytes), _) if bytes < FREE_BYTES_MIN => {
            finding(Verdict::Failure, format!("{} are free", size(bytes))).advice(advice)
        }
        (_, Some(files)) if files < FREE_FILES_LOW => {
            finding(Verdict::Warning, format!("room for {files} more files only")).advice(advice)
        }
        (Some(bytes), _) if bytes < FREE_BYTES_LOW => {
            finding(Verdict::Warning, format!("only {} are free", size(bytes))).advice(advice)
        }
        (Some(bytes), _) => finding(Verdict::Ok, format!("{} are free", size(bytes))),
    }
}

fn size(bytes: u64) -> String {
    crate::cli::format::memory(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn the_place_is_judged() {
        let fine = Place {
            path: "/h".into(),
            exists: true,
            writable: true,
            free_bytes: Some(5 << 30),
            free_files: Some(1 << 20),
            ..Place::default()
        };
        let home = |place: &Place| judge(place).swap_remove(0);
        check(&home(&fine), Verdict::Ok, "/h can be written");
        check(&home(&Place { exists: false, ..fine.clone() }), Verdict::Ok, "will be made");
        check(&home(&Place { writable: false, ..fine.clone() }), Verdict::Failure, "cannot be written");
        check(&home(&Place { blocked: true, ..fine.clone() }), Verdict::Failure, "file in its way");
        check(&home(&Place { open_to_others: true, ..fine.clone() }), Verdict::Warning, "other users");
        let disk = |place: &Place| judge(place).swap_remove(1);
        check(&disk(&fine), Verdict::Ok, "5.00 GiB are free");
        check(
            &disk(&Place { free_bytes: Some(500 << 20), ..fine.clone() }),
            Verdict::Warning,
            "only 500.0 MiB",
        );
        check(&disk(&Place { free_bytes: Some(1 << 20), ..fine.clone() }), Verdict::Failure, "1.0 MiB");
        check(&disk(&Place { free_files: Some(3), ..fine.clone() }), Verdict::Warning, "3 more files");
        check(&disk(&Place { free_files: None, ..fine.clone() }), Verdict::Ok, "5.00 GiB");
        check(&disk(&Place { free_bytes: None, ..fine }), Verdict::Note, "not known");
    }

    #[test]
    fn places_are_looked_at() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let there = look(folder.path());
        assert!(there.exists && there.writable && !there.open_to_others && !there.blocked, "{there:?}");
        assert!(there.free_bytes.is_some());
        let missing = look(&folder.path().join("a/b"));
        assert!(!missing.exists && missing.writable && !missing.blocked, "{missing:?}");
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(look(&folder.path().join("file/home")).blocked);
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        assert!(look(folder.path()).open_to_others);
    }
}
