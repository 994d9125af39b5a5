//! Finds programs in `PATH`, and what was meant when there is none.

use super::suggest::nearest;
use rustix::fs::{Access, access};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What is behind a program's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It can be executed.
    Program(PathBuf),
    /// It is there and may not be executed.
    NotExecutable(PathBuf),
    /// There is nothing of this name.
    Nothing,
}

/// Looks at one path.
pub(super) fn look_at(path: PathBuf) -> Found {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() && access(&path, Access::EXEC_OK).is_ok() => Found::Program(path),
        Ok(_) => Found::NotExecutable(path),
        Err(_) => Found::Nothing,
    }
}

/// The first program of this name in the directories of `path`; those that are relative start at `directory`.
pub(super) fn in_path(name: &OsStr, path: &OsStr, directory: &Path) -> Found {
    let mut refused = Found::Nothing;
    for folder in std::env::split_paths(path) {
        match look_at(directory.join(folder).join(name)) {
            Found::Program(program) => return Found::Program(program),
            found @ Found::NotExecutable(_) if refused == Found::Nothing => refused = found,
            Found::NotExecutable(_) | Found::Nothing => (),
        }
    }
    // A folder or a data file in PATH is not what was meant.
    match refused {
        Found::NotExecutable(path) if path.is_file() => Found::NotExecutable(path),
        _ => Found::Nothing,
    }
}

/// The program in `path` whose name is nearest.
pub(super) fn nearest_in_path(name: &OsStr, path: &OsStr) -> Option<String> {
    let folders: Vec<PathBuf> = std::env::split_paths(path).collect();
    let names: Vec<String> = folders.iter().flat_map(|folder| names_in(folder)).collect();
    nearest(name.to_str()?, names.iter().map(String::as_str)).map(str::to_owned)
}

/// The file beside a missing one whose name is nearest: the same with an extension, or a slip of the finger.
pub(super) fn nearest_file(missing: &Path) -> Option<String> {
    let name = missing.file_name()?.to_str()?;
    let folder = missing.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = names_in(folder);
    let with_extension = names.iter().find(|candidate| {
        let path = Path::new(candidate);
        path.file_stem() == Some(OsStr::new(name)) && super::interpreter::by_extension(path).is_some()
    });
    with_extension.cloned().or_else(|| nearest(name, names.iter().map(String::as_str)).map(str::to_owned))
}

/// The name of the interpreter in a script's first line: `node` for `#!/usr/bin/env node`.
pub(super) fn shebang(path: &Path) -> Option<String> {
    let mut head = [0; 128];
    let read = read_head(path, &mut head).ok()?;
    let line = std::str::from_utf8(head[..read].split(|&byte| byte == b'\n').next()?).ok()?;
    let mut words = line.strip_prefix("#!")?.split_whitespace();
    let program = words.next()?.rsplit('/').next()?;
    if program != "env" {
        return Some(program.to_owned());
    }
    words.find(|word| !word.starts_with('-') && !word.contains('=')).map(str::to_owned)
}

fn read_head(path: &Path, buffer: &mut [u8]) -> io::Result<usize> {
    std::fs::File::open(path)?.read(buffer)
}

/// Sorted, so that the same slip always gets the same answer. An unreadable folder has nothing to offer.
fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, mode, text) in [
            ("tool", 0o755, "#!/usr/bin/env -S node --no-warnings\n"),
            ("data", 0o644, "#!/bin/sh -e\n"),
            ("server.js", 0o644, "plain"),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(folder.path().join("sub")).unwrap();
        folder
    }

    #[test]
    fn programs_are_found_in_path_and_only_programs() {
        let folder = folder();
        let path = std::env::join_paths([Path::new("/nonexistent"), folder.path()]).unwrap();
        let find = |name: &str| in_path(OsStr::new(name), &path, Path::new("/"));
        assert_eq!(find("tool"), Found::Program(folder.path().join("tool")));
        assert_eq!(find("data"), Found::NotExecutable(folder.path().join("data")));
        assert_eq!(find("sub"), Found::Nothing);
        assert_eq!(find("absent"), Found::Nothing);
        assert_eq!(nearest_in_path(OsStr::new("tol"), &path), Some("tool".to_owned()));
    }

    #[test]
    fn a_missing_file_suggests_its_neighbour() {
        let folder = folder();
        let suggest = |name: &str| nearest_file(&folder.path().join(name));
        assert_eq!(suggest("serevr.js").as_deref(), Some("server.js"));
        assert_eq!(suggest("server").as_deref(), Some("server.js"));
        assert_eq!(suggest("unlike"), None);
    }

    #[test]
    fn shebangs_name_their_interpreter() {
        let folder = folder();
        assert_eq!(shebang(&folder.path().join("tool")).as_deref(), Some("node"));
        assert_eq!(shebang(&folder.path().join("data")).as_deref(), Some("sh"));
        assert_eq!(shebang(&folder.path().join("server.js")), None);
    }
}
