//! Scripts of `package.json`, run without the package manager.
//!
//! npm, yarn and pnpm are Node.js programs: they would take the IPC channel meant for the server and stand between it and
//! its signals. So Stead reads the script itself and runs its line in a shell with what npm gives it: `node_modules/.bin`
//! in front of `PATH`, the `npm_*` variables, and the `pre` script first.

use super::interpreter::package_programs;
use super::program_error::ProgramError;
use super::search::{Found, in_path, look_at, shebang};
use super::shell;
use super::suggest::nearest;
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Node.js programs that start another one and keep the channel for themselves, so that the server could not use it.
const WRAPPERS: [&str; 9] =
    ["nodemon", "npm", "npx", "yarn", "pnpm", "cross-env", "concurrently", "tsx", "dotenv"];

/// What a command asks a package manager for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Name of the script.
    pub(super) script: String,
    /// More words of the command, for the script.
    pub(super) arguments: Vec<OsString>,
    /// `yarn X` may also be a program of that name.
    pub(super) certain: bool,
}

/// Recognises `npm start`, `npm run X`, `yarn [run] X`, `pnpm [run] X`.
pub(super) fn wish(words: &[OsString]) -> Option<Wish> {
    let text = |index: usize| words.get(index).and_then(|word: &OsString| word.to_str());
    let manager = text(0).filter(|word| ["npm", "yarn", "pnpm"].contains(word))?;
    let (at, certain) = match (manager, text(1)?) {
        (_, "run" | "run-script") => (2, true),
        (_, "start" | "test") => (1, true),
        ("yarn" | "pnpm", word) if !word.starts_with('-') => (1, false),
        _ => return None,
    };
    let rest = words.get(at + 1..).unwrap_or_default().iter();
    let arguments = rest.skip_while(|word| *word == "--").cloned().collect();
    Some(Wish { script: text(at)?.to_owned(), arguments, certain })
}

/// A package and where it is.
#[derive(Debug)]
pub(super) struct Package {
    file: PathBuf,
    content: Value,
}

/// A script, ready for `sh -c`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ScriptLine {
    /// The line itself.
    pub(super) line: OsString,
    /// It becomes a Node.js program that listens itself.
    pub(super) is_node: bool,
    /// To add to the environment; `PATH` is among them.
    pub(super) environment: Vec<(OsString, OsString)>,
}

impl Package {
    /// The package of a directory: its own, or that of the nearest one above.
    pub(super) fn above(directory: &Path) -> Result<Package, ProgramError> {
        match directory.ancestors().map(|folder| folder.join("package.json")).find(|file| file.is_file()) {
            Some(file) => Package::read(file),
            None => Err(ProgramError::NoPackage { directory: directory.to_owned() }),
        }
    }

    fn read(file: PathBuf) -> Result<Package, ProgramError> {
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(source) => return Err(ProgramError::PackageUnreadable { path: file, source }),
        };
        match serde_json::from_slice::<serde_json::Map<String, Value>>(&text) {
            Ok(content) => Ok(Package { file, content: Value::Object(content) }),
            Err(source) => Err(ProgramError::PackageInvalid { path: file, source }),
        }
    }

    /// Where its scripts run.
    pub(super) fn directory(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    /// Its name without the scope, else that of its directory.
    pub(super) fn name(&self) -> String {
        let folder = || self.directory().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let named =
            self.content["name"].as_str().map(|name| name.rsplit('/').next().unwrap_or(name).to_owned());
        named.filter(|name| !name.is_empty()).unwrap_or_else(folder)
    }

    pub(super) fn has_script(&self, name: &str) -> bool {
        self.script(name).is_some()
    }

    /// The file that `node .` would run.
    pub(super) fn main(&self) -> Option<String> {
        let main = self.content["main"].as_str().unwrap_or("index.js");
        let candidates = [main.to_owned(), format!("{main}.js"), format!("{main}/index.js")];
        candidates.into_iter().find(|file| self.directory().join(file).is_file())
    }

    pub(super) fn no_start(&self) -> ProgramError {
        ProgramError::NoStart { path: self.file.clone() }
    }

    /// The line that runs a script with these arguments.
    pub(super) fn line(
        &self,
        name: &str,
        arguments: &[OsString],
        path: &OsStr,
    ) -> Result<ScriptLine, ProgramError> {
        let script = self.script(name).ok_or_else(|| self.no_script(name))?;
        let path = self.path(path);
        let mut line = OsString::new();
        if let Some(before) = self.script(&format!("pre{name}")) {
            line.push(before_line(name, before));
        }
        let (script, is_node) = self.prepare(script, &path);
        line.push(script);
        for argument in arguments {
            line.push(" ");
            line.push(shell::quote(argument));
        }
        Ok(ScriptLine { line, is_node, environment: self.environment(name, path) })
    }

    fn script(&self, name: &str) -> Option<&str> {
        self.content["scripts"][name].as_str().filter(|line| !line.trim().is_empty())
    }

    fn no_script(&self, name: &str) -> ProgramError {
        let known: Vec<String> = self.content["scripts"]
            .as_object()
            .map(|scripts| scripts.keys().cloned().collect())
            .unwrap_or_default();
        let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        ProgramError::NoScript { path: self.file.clone(), name: name.to_owned(), known, nearest }
    }

    fn path(&self, path: &OsStr) -> OsString {
        let mut folders: Vec<PathBuf> = package_programs(self.directory()).collect();
        folders.extend(std::env::split_paths(path));
        // Only a colon in a directory's name makes this fail; then the programs there cannot be in any PATH.
        std::env::join_paths(folders).unwrap_or_else(|_| path.to_owned())
    }

    fn environment(&self, script: &str, path: OsString) -> Vec<(OsString, OsString)> {
        let text = |key: &str| OsString::from(self.content[key].as_str().unwrap_or_default());
        vec![
            ("PATH".into(), path),
            ("npm_lifecycle_event".into(), script.into()),
            ("npm_lifecycle_script".into(), self.script(script).unwrap_or_default().into()),
            ("npm_package_name".into(), text("name")),
            ("npm_package_version".into(), text("version")),
            ("npm_package_json".into(), self.file.clone().into()),
        ]
    }

    /// A line that starts one program becomes that program, so that it gets signals and its process is the worker.
    fn prepare(&self, script: &str, path: &OsStr) -> (String, bool) {
        let Some(line) = shell::simple_line(script) else { return (script.to_owned(), true) };
        let found = match line.program.contains('/') {
            true => look_at(self.directory().join(line.program)),
            false => in_path(OsStr::new(line.program), path, self.directory()),
        };
        let Found::Program(program) = found else { return (script.to_owned(), true) };
        let shell::SimpleLine { assignments, program: word, rest } = line;
        // The command `tsx` keeps the channel for itself; as a module of Node.js it does not.
        let first = rest.split_whitespace().next().unwrap_or("-");
        if word == "tsx" && first != "watch" && !first.starts_with('-') {
            return (format!("{assignments}exec node --import tsx{rest}"), true);
        }
        (format!("{assignments}exec {word}{rest}"), runs_node(&program))
    }
}

/// Whether this file is Node.js, or a script for it that is no wrapper.
pub(super) fn runs_node(program: &Path) -> bool {
    let name = program.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let is_node = |name: &str| name == "node" || name == "nodejs";
    is_node(name)
        || (!WRAPPERS.contains(&name) && shebang(program).is_some_and(|interpreter| is_node(&interpreter)))
}

/// The `pre` script, without the variables that would make it take the server's channel and sockets.
fn before_line(name: &str, script: &str) -> String {
    format!(
        "(\nunset NODE_CHANNEL_FD NODE_CHANNEL_SERIALIZATION_MODE NODE_UNIQUE_ID LISTEN_FDS LISTEN_PID NOTIFY_SOCKET\n\
         export npm_lifecycle_event={}\n{script}\n) || exit $?\n",
        shell::quote(OsStr::new(&format!("pre{name}"))).to_string_lossy()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test_support::Folder;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn package_managers_are_understood() {
        let check = |line: &str, expected: Option<(&str, &str, bool)>| {
            let actual = wish(&words(line));
            let actual = actual.as_ref().map(|wish| {
                (wish.script.as_str(), shell::join(&wish.arguments).into_string().unwrap(), wish.certain)
            });
            assert_eq!(
                actual,
                expected.map(|(script, rest, certain)| (script, rest.to_owned(), certain)),
                "{line}"
            );
        };
        check("npm start", Some(("start", "", true)));
        check("npm run dev", Some(("dev", "", true)));
        check("npm run-script dev -- --port 1", Some(("dev", "--port 1", true)));
        check("yarn dev", Some(("dev", "", false)));
        check("yarn run dev extra", Some(("dev", "extra", true)));
        check("pnpm start", Some(("start", "", true)));
        check("npm ci", None);
        check("npm run", None);
        check("npm", None);
        check("yarn --version", None);
        check("node start", None);
    }

    /// The script `start` of a package whose `node_modules/.bin` holds a server, a wrapper, and `tsx`.
    fn check(scripts: &str, arguments: &str, expected: &str) {
        let folder = Folder::new();
        folder.file(
            "package.json",
            &format!(r#"{{"name": "@acme/shop", "version": "1.2.3", "scripts": {scripts}}}"#),
        );
        for name in ["fastify", "nodemon", "tsx"] {
            folder.program(&format!("node_modules/.bin/{name}"), "#!/usr/bin/env node\n");
        }
        folder.program("bin/node", "");
        folder.program("bin/python3", "");
        let package = Package::above(folder.path()).unwrap();
        let path = folder.path().join("bin").into_os_string();
        let actual = match package.line("start", &words(arguments), &path) {
            Ok(script) => format!(
                "{} [{}]",
                script.line.to_string_lossy(),
                if script.is_node { "node" } else { "other" }
            ),
            Err(error) => format!("error: {error}; hint: {}", error.hint().unwrap_or_default()),
        };
        assert_eq!(folder.neutral(&actual), expected);
    }

    #[test]
    fn a_script_that_starts_one_program_becomes_it() {
        check(r#"{"start": "node server.js"}"#, "--port 1", "exec node server.js --port 1 [node]");
        check(r#"{"start": "A=1 node ."}"#, "it's", r"A=1 exec node . 'it'\''s' [node]");
        check(r#"{"start": "fastify start app.js"}"#, "", "exec fastify start app.js [node]");
        check(r#"{"start": "python3 app.py"}"#, "", "exec python3 app.py [other]");
        check(r#"{"start": "nodemon app.js"}"#, "", "exec nodemon app.js [other]");
        check(r#"{"start": "tsx web.ts"}"#, "", "exec node --import tsx web.ts [node]");
        check(r#"{"start": "tsx watch web.ts"}"#, "", "exec tsx watch web.ts [other]");
    }

    #[test]
    fn a_script_that_does_more_stays_a_shell_line() {
        check(r#"{"start": "cd app && node server.js"}"#, "-v", "cd app && node server.js -v [node]");
        check(r#"{"start": "missing x"}"#, "", "missing x [node]");
    }

    #[test]
    fn the_pre_script_runs_first_and_without_the_channel() {
        let expected = "(\nunset NODE_CHANNEL_FD NODE_CHANNEL_SERIALIZATION_MODE NODE_UNIQUE_ID LISTEN_FDS LISTEN_PID \
                        NOTIFY_SOCKET\nexport npm_lifecycle_event=prestart\nnode build.js # once\n) || exit $?\n\
                        exec node . [node]";
        check(r##"{"prestart": "node build.js # once", "start": "node ."}"##, "", expected);
    }

    #[test]
    fn a_missing_script_names_those_that_there_are() {
        let start = "error: `<folder>/package.json` has no script `start`; hint: ";
        check(r#"{"strat": "x"}"#, "", &format!("{start}did you mean `strat`?"));
        check(r#"{"dev": "x", "build": "y"}"#, "", &format!("{start}its scripts are `build`, `dev`"));
        check("{}", "", start);
    }

    #[test]
    fn scripts_get_what_npm_gives_them() {
        let folder = Folder::new();
        folder.file(
            "package.json",
            r#"{"name": "@acme/shop", "version": "1.2.3", "scripts": {"start": "x y"}}"#,
        );
        folder.file("node_modules/.bin/x", "");
        let sub = folder.path().join("sub");
        let package = Package::above(&sub).unwrap();
        assert_eq!(package.name(), "shop");
        assert_eq!(package.directory(), folder.path());
        let script = package.line("start", &[], OsStr::new("/bin")).unwrap();
        let lines: Vec<String> = script
            .environment
            .iter()
            .map(|(name, value)| folder.neutral(&format!("{}={}", name.display(), value.display())))
            .collect();
        let expected = [
            "PATH=<folder>/node_modules/.bin:/bin",
            "npm_lifecycle_event=start",
            "npm_lifecycle_script=x y",
            "npm_package_name=@acme/shop",
            "npm_package_version=1.2.3",
            "npm_package_json=<folder>/package.json",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_broken_package_is_an_error() {
        let folder = Folder::new();
        folder.file("package.json", "[1]");
        let error = Package::above(folder.path()).unwrap_err();
        assert_eq!(folder.neutral(&error.to_string()), "`<folder>/package.json` is not a package.json");
        let error = Package::above(Path::new("/")).unwrap_err();
        assert_eq!(error.to_string(), "no package.json in `/` or above it");
    }
}
