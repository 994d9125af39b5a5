//! Which program runs a script, by the script's extension.

use super::program_error::ProgramError;
use super::search::{Found, in_path, look_at, nearest_in_path};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What kind of script it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    JavaScript,
    TypeScript,
    Python,
    Ruby,
    Php,
    Shell,
}

/// Where programs are searched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    /// Where the script runs.
    pub(super) directory: &'a Path,
    /// The worker's `PATH`.
    pub(super) path: &'a OsStr,
}

/// How a script is started.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interpreter {
    /// The program and its own arguments; the script follows.
    pub(super) arguments: Vec<OsString>,
    /// It is Node.js.
    pub(super) is_node: bool,
}

/// The language of a file with this name.
pub(super) fn by_extension(script: &Path) -> Option<Language> {
    match script.extension()?.to_str()? {
        "js" | "mjs" | "cjs" => Some(Language::JavaScript),
        "ts" | "mts" | "cts" => Some(Language::TypeScript),
        "py" => Some(Language::Python),
        "rb" => Some(Language::Ruby),
        "php" => Some(Language::Php),
        "sh" => Some(Language::Shell),
        _ => None,
    }
}

/// Finds the program that runs the script.
pub(super) fn find(
    language: Language,
    script: &Path,
    around: Surroundings<'_>,
) -> Result<Interpreter, ProgramError> {
    let name = match language {
        Language::JavaScript => "node",
        Language::TypeScript => return type_script(around, node_version),
        Language::Python => "python3",
        Language::Ruby => "ruby",
        Language::Php => "php",
        Language::Shell => "sh",
    };
    match in_path(OsStr::new(name), around.path, around.directory) {
        Found::Program(program) => {
            Ok(Interpreter { arguments: vec![program.into()], is_node: language == Language::JavaScript })
        }
        Found::NotExecutable(path) => Err(ProgramError::NotExecutable { path }),
        Found::Nothing => {
            Err(ProgramError::InterpreterMissing { script: script.to_owned(), interpreter: name })
        }
    }
}

/// Finds the interpreter that the configuration names: a program in `PATH`, or a path from the directory.
pub(super) fn named(name: &str, around: Surroundings<'_>) -> Result<PathBuf, ProgramError> {
    let found = match name.contains('/') {
        true => look_at(around.directory.join(name)),
        false => in_path(OsStr::new(name), around.path, around.directory),
    };
    match found {
        Found::Program(program) => Ok(program),
        Found::NotExecutable(path) => Err(ProgramError::NotExecutable { path }),
        Found::Nothing => Err(ProgramError::NotFound {
            name: name.to_owned(),
            nearest: nearest_in_path(OsStr::new(name), around.path),
        }),
    }
}

/// What a Node.js of some version needs to run TypeScript.
#[derive(Debug, PartialEq, Eq)]
enum Stripping {
    Default,
    Flag,
    No,
}

fn stripping(version: (u32, u32)) -> Stripping {
    match version {
        (22, 18..) | (23, 6..) | (24.., _) => Stripping::Default,
        (22, 6..) | (23, _) => Stripping::Flag,
        _ => Stripping::No,
    }
}

fn type_script(
    around: Surroundings<'_>,
    version_of: impl Fn(&Path) -> Option<(u32, u32)>,
) -> Result<Interpreter, ProgramError> {
    let find = |name: &str| match in_path(OsStr::new(name), around.path, around.directory) {
        Found::Program(program) => Some(program),
        Found::NotExecutable(_) | Found::Nothing => None,
    };
    let node = find("node");
    let version = node.as_deref().and_then(version_of);
    let by_node = |arguments: &[&str]| {
        let words = node.iter().map(OsString::from).chain(arguments.iter().map(OsString::from));
        Ok(Interpreter { arguments: words.collect(), is_node: true })
    };
    match version.map_or(Stripping::No, stripping) {
        Stripping::Default => return by_node(&[]),
        Stripping::Flag => return by_node(&["--experimental-strip-types"]),
        Stripping::No => (),
    }
    if let Some(bun) = find("bun") {
        return Ok(Interpreter { arguments: vec![bun.into()], is_node: false });
    }
    let has_tsx = around.directory.ancestors().any(|folder| folder.join("node_modules/tsx").is_dir());
    if has_tsx && node.is_some() {
        return by_node(&["--import", "tsx"]);
    }
    Err(ProgramError::NoTypeScript {
        node: match version {
            Some((major, minor)) => format!("Node.js {major}.{minor} does not strip types"),
            None => "no Node.js".to_owned(),
        },
    })
}

/// Asks a Node.js for its version; nothing when it does not say.
fn node_version(node: &Path) -> Option<(u32, u32)> {
    let output = Command::new(node).arg("--version").env_remove("NODE_OPTIONS").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.trim().strip_prefix('v')?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// `node_modules/.bin` of a directory and of those above it, nearest first.
pub(super) fn package_programs(directory: &Path) -> impl Iterator<Item = PathBuf> {
    directory.ancestors().map(|folder| folder.join("node_modules/.bin")).filter(|folder| folder.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test_support::Folder;

    #[test]
    fn node_strips_types_by_version() {
        let check = |version, expected| assert_eq!(stripping(version), expected, "{version:?}");
        check((18, 20), Stripping::No);
        check((20, 20), Stripping::No);
        check((22, 5), Stripping::No);
        check((22, 6), Stripping::Flag);
        check((22, 17), Stripping::Flag);
        check((22, 18), Stripping::Default);
        check((23, 5), Stripping::Flag);
        check((23, 6), Stripping::Default);
        check((24, 0), Stripping::Default);
    }

    fn check(node: Option<(u32, u32)>, others: &[&str], expected: &str) {
        let folder = Folder::new();
        if node.is_some() {
            folder.program("bin/node", "");
        }
        for other in others {
            match *other {
                "tsx" => folder.file("node_modules/tsx/package.json", "{}"),
                program => folder.program(&format!("bin/{program}"), ""),
            };
        }
        let path = folder.path().join("bin").into_os_string();
        let around = Surroundings { directory: folder.path(), path: &path };
        let actual = match type_script(around, |_| node) {
            Ok(found) => {
                let words: Vec<_> = found.arguments.iter().map(|word| word.to_string_lossy()).collect();
                words.join(" ").replace(&format!("{}/bin/", folder.path().display()), "")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(actual, expected);
    }

    #[test]
    fn type_script_is_run_by_what_is_there() {
        check(Some((24, 1)), &["tsx"], "node");
        check(Some((22, 7)), &["bun"], "node --experimental-strip-types");
        check(Some((20, 20)), &["bun", "tsx"], "bun");
        check(None, &["bun"], "bun");
        check(Some((20, 20)), &["tsx"], "node --import tsx");
    }

    #[test]
    fn type_script_that_nothing_runs_is_an_error() {
        let rest = "no `bun`, and no `tsx` in node_modules";
        let start = "nothing found that runs TypeScript";
        check(Some((20, 20)), &[], &format!("{start}: Node.js 20.20 does not strip types, {rest}"));
        check(None, &["tsx"], &format!("{start}: no Node.js, {rest}"));
    }

    #[test]
    fn the_version_of_node_is_asked_for() {
        let path = std::env::var_os("PATH").unwrap();
        if let Found::Program(node) = in_path(OsStr::new("node"), &path, Path::new("/")) {
            assert!(node_version(&node).is_some_and(|(major, _)| major >= 18));
        }
        assert_eq!(node_version(Path::new("/nonexistent")), None);
    }
}
