//! What a directory looks like it wants to run, for whoever writes its first `stead.toml`.
//!
//! A guess that a person reads before anything is started; `program.rs` decides what a command really runs.

use super::package::Package;
use super::shell;
use std::fs::read_to_string;
use std::path::Path;

/// Where programs are reached that do not tell their own address.
const LISTEN: &str = "8080";

/// Scripts that are servers by their names, the likeliest first.
const NODE_SCRIPTS: [&str; 8] =
    ["server.js", "server.mjs", "server.cjs", "index.js", "app.js", "main.js", "server.ts", "index.ts"];
const PYTHON_SCRIPTS: [&str; 3] = ["app.py", "main.py", "server.py"];

/// An app to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// A valid name.
    pub name: String,
    /// As in `stead.toml`.
    pub command: String,
    /// The public address that a program needs that does not tell its own.
    pub listen: Option<String>,
    /// What is to be known about it.
    pub note: Option<&'static str>,
}

impl Start {
    /// An app of these words; `directory` gives it a name.
    pub fn of(command: String, directory: &Path) -> Start {
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        Start { name: valid(&name), command, listen: None, note: None }
    }

    fn listening(self, note: &'static str) -> Start {
        Start { listen: Some(LISTEN.to_owned()), note: Some(note), ..self }
    }
}

/// What there is to run in an absolute directory.
pub fn discover(directory: &Path) -> Option<Start> {
    let first = |names: &[&'static str]| names.iter().copied().find(|name| directory.join(name).is_file());
    let start = |command: &str| Start::of(command.to_owned(), directory);
    if let Some(package) = package(directory) {
        return Some(package);
    }
    if let Some(script) = first(&NODE_SCRIPTS) {
        return Some(start(script));
    }
    if let Some(script) = first(&PYTHON_SCRIPTS) {
        return Some(start(script).listening("the program has to listen on the port in PORT"));
    }
    if directory.join("config.ru").is_file() {
        let bundle = if directory.join("Gemfile").is_file() { "bundle exec " } else { "" };
        let puma = start(&format!("{bundle}puma --bind unix://{{socket}}"));
        return Some(puma.listening("`puma` is a guess; other servers are in docs/other-programs.md"));
    }
    if first(&["main.go", "go.mod"]).is_some() {
        let binary = shell::quote(format!("./{}", go_binary(directory)).as_ref());
        let binary = start(&binary.to_string_lossy());
        return Some(
            binary.listening("`go build` makes the program, which has to listen on the port in PORT"),
        );
    }
    None
}

/// The package's start script, else its main file.
fn package(directory: &Path) -> Option<Start> {
    // That of a directory above is another program.
    if !directory.join("package.json").is_file() {
        return None;
    }
    let package = Package::above(directory).ok()?;
    let manager = match ["yarn.lock", "pnpm-lock.yaml"].map(|file| directory.join(file).is_file()) {
        [true, _] => "yarn",
        [_, true] => "pnpm",
        _ => "npm",
    };
    let command = if package.has_script("start") { format!("{manager} start") } else { package.main()? };
    Some(Start { name: valid(&package.name()), ..Start::of(command, directory) })
}

/// What `go build` calls its result: the last part of the module's path, without a version.
fn go_binary(directory: &Path) -> String {
    let text = read_to_string(directory.join("go.mod")).unwrap_or_default();
    let module = text.lines().find_map(|line| line.strip_prefix("module ")).unwrap_or_default();
    let is_version = |part: &&str| {
        part.strip_prefix('v').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match module.trim().rsplit('/').find(|part| !is_version(part) && !part.is_empty()) {
        Some(name) => name.to_owned(),
        None => directory.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    }
}

/// The nearest text that is a name of an app.
fn valid(text: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let name: String = text.chars().map(|letter| if allowed(letter) { letter } else { '-' }).collect();
    let name = name.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
    if name.is_empty() { "app".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test_support::Folder;

    /// Files with their texts, and what is found among them: `command [listen]`.
    fn check(files: &[(&str, &str)], expected: Option<&str>) {
        let folder = Folder::new();
        files.iter().for_each(|(name, text)| drop(folder.file(&format!("my shop/{name}"), text)));
        std::fs::create_dir_all(folder.path().join("my shop")).unwrap();
        let found = discover(&folder.path().join("my shop")).map(|start| {
            format!("{}: {} {}", start.name, start.command, start.listen.unwrap_or_default())
                .trim()
                .to_owned()
        });
        assert_eq!(found.as_deref(), expected, "{files:?}");
    }

    #[test]
    fn what_is_there_is_what_is_run() {
        check(&[], None);
        check(&[("README.md", ""), ("util.js", "")], None);
        check(&[("server.js", ""), ("index.js", "")], Some("my-shop: server.js"));
        check(&[("index.js", ""), ("app.py", "")], Some("my-shop: index.js"));
        check(&[("app.py", "")], Some("my-shop: app.py 8080"));
        check(&[("config.ru", "")], Some("my-shop: puma --bind unix://{socket} 8080"));
        check(
            &[("config.ru", ""), ("Gemfile", "")],
            Some("my-shop: bundle exec puma --bind unix://{socket} 8080"),
        );
        check(&[("main.go", "")], Some("my-shop: './my shop' 8080"));
        let module = "module example.com/acme/api/v2\n\ngo 1.24\n";
        check(&[("main.go", ""), ("go.mod", module)], Some("my-shop: ./api 8080"));
    }

    #[test]
    fn a_package_says_it_itself() {
        let started = r#"{"name": "@acme/web", "scripts": {"start": "node x.js"}}"#;
        check(&[("package.json", started), ("server.js", "")], Some("web: npm start"));
        check(&[("package.json", started), ("yarn.lock", "")], Some("web: yarn start"));
        check(&[("package.json", started), ("pnpm-lock.yaml", "")], Some("web: pnpm start"));
        check(
            &[("package.json", r#"{"main": "lib/web.js"}"#), ("lib/web.js", "")],
            Some("my-shop: lib/web.js"),
        );
        check(&[("package.json", "{}"), ("server.js", "")], Some("my-shop: server.js"));
        check(&[("package.json", "not json"), ("app.js", "")], Some("my-shop: app.js"));
        check(&[("package.json", "{}")], None);
    }

    #[test]
    fn names_are_made_valid() {
        let check = |text: &str, expected: &str| assert_eq!(valid(text), expected, "{text}");
        check("shop", "shop");
        check("shop.v2", "shop.v2");
        check(".config", "config");
        check("my shop!", "my-shop");
        check("日本", "app");
        check("", "app");
    }
}
