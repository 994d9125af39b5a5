//! What commands run, and every error that keeps one from being started.

use super::*;
use std::fmt::Write;

const PACKAGE: &str =
    r#"{"name": "@acme/shop", "main": "lib", "scripts": {"start": "node server.js", "dev": "node dev.js"}}"#;

/// A folder with one of everything.
fn full() -> Folder {
    let folder = folder();
    for script in ["server.js", "app.py", "my server.js", "lib/index.js", "task.sh", "dir/plain.txt", "notes"]
    {
        folder.file(script, "");
    }
    folder.program("bin/www", "#!/usr/bin/env node\n");
    folder.program("tool", "#!/usr/bin/env python3\n");
    folder.program("odd.js", "");
    folder.file("package.json", PACKAGE);
    folder.file("library/package.json", r#"{"main": "./lib"}"#);
    folder.file("library/lib/index.js", "");
    folder.file("empty/package.json", "{}");
    folder.file("broken/package.json", "{");
    folder
}

/// Expected: the arguments, `node` when it is one, the app's name, and the directory when it is another.
fn check(line: &str, expected: &str) {
    let folder = full();
    let actual = match load(&folder, line) {
        Ok(settings) => {
            let app = &settings.apps[0];
            let arguments: Vec<String> =
                app.program.arguments.iter().map(|word| format!("{}", word.display())).collect();
            let kind = if app.program.is_node { " [node]" } else { "" };
            let directory = app.directory.strip_prefix(folder.path()).unwrap().display().to_string();
            let directory = if directory.is_empty() { directory } else { format!(" in {directory}") };
            format!("{}{kind} {}{directory}", arguments.join(" | "), app.name)
        }
        Err(error) => report(&folder, &error),
    };
    assert_eq!(folder.neutral(&actual).replace("<folder>/bin/", ""), expected, "{line}");
}

#[test]
fn scripts_are_run_by_their_interpreter() {
    check("server.js", "node | server.js [node] server");
    check("server.js -- --port 1", "node | server.js | --port | 1 [node] server");
    check("'server.js --port 1'", "node | server.js | --port | 1 [node] server");
    check("'my server.js'", "node | my server.js [node] my-server");
    check("app.py", "python3 | app.py app");
    check("task.sh", "sh | task.sh task");
    check("./lib/index.js", "node | ./lib/index.js [node] index");
}

#[test]
fn commands_are_run_as_they_are() {
    check("node server.js", "node | server.js [node] server");
    check("'node -r x server.js'", "node | -r | x | server.js [node] server");
    check("gunicorn api:app", "gunicorn | api:app gunicorn");
    check("'gunicorn api:app --bind unix:{socket}'", "gunicorn | api:app | --bind | unix:{socket} gunicorn");
    check("./bin/www", "www [node] www");
    check("bin/www", "www [node] www");
    check("./tool", "<folder>/tool tool");
}

#[test]
fn a_shell_is_used_when_asked_for() {
    check("--shell 'node server.js > log'", "/bin/sh | -c | node server.js > log server");
    check("--shell 'exec node server.js' -- 'a b'", "/bin/sh | -c | exec node server.js 'a b' server");
    check("--shell 'node server.js'", "/bin/sh | -c | node server.js [node] server");
}

#[test]
fn packages_run_their_scripts() {
    check("npm start", "/bin/sh | -c | exec node server.js [node] shop");
    check("npm run dev -- -v", "/bin/sh | -c | exec node dev.js -v [node] shop");
    check("yarn dev", "/bin/sh | -c | exec node dev.js [node] shop");
    check(".", "/bin/sh | -c | exec node server.js [node] shop");
    check("library", "node | ./lib/index.js [node] library in library");
    check("--cwd dir npm start", "/bin/sh | -c | exec node server.js [node] shop");
}

#[test]
fn python_prints_at_once() {
    let folder = full();
    let unbuffered = |line: &str| {
        let settings = load(&folder, line).unwrap();
        settings.apps[0].environment.get(&OsString::from("PYTHONUNBUFFERED")).cloned()
    };
    assert_eq!(unbuffered("app.py").unwrap(), "1");
    assert_eq!(unbuffered("'python3 -m http.server'").unwrap(), "1");
    assert_eq!(unbuffered("./tool").unwrap(), "1");
    assert_eq!(unbuffered("app.py --env PYTHONUNBUFFERED=").unwrap(), "");
    assert_eq!(unbuffered("server.js"), None);
}

/// Each case: what it is about, and the words after `stead run`.
const CASES: [(&str, &str); 25] = [
    ("a script that is not there", "serevr.js"),
    ("a script that is not there, in a directory", "lib/indx.js"),
    ("a script that is like no other", "completely/other.py"),
    ("a program by its path that is not there", "./toool"),
    ("a program that is not there", "nod server.js"),
    ("a script without its extension", "server"),
    ("a program that is like no other", "absolutely-nothing"),
    ("a program here without ./", "tool"),
    ("a file that is not executable", "./notes"),
    ("a directory without a package", "dir"),
    ("a directory without a package, in a command", "./dir x"),
    ("node with a script that is not there", "node sever.js"),
    ("an empty command", "''"),
    ("a quote that is not closed", "\"node 'server.js\""),
    ("a missing interpreter", "page.php"),
    ("nothing that runs TypeScript", "app.ts"),
    ("a directory to run in that is not there", "server.js --cwd libary"),
    ("a directory to run in that is a file", "server.js --cwd notes"),
    ("a script of the package that is not there", "npm run dve"),
    ("a script of the package that is like no other", "npm run migrate"),
    ("a package with nothing to start", "empty"),
    ("a package that is broken", "broken"),
    ("no package anywhere", "npm start --cwd /"),
    ("a yarn program that is not there", "yarn migrate"),
    ("another name", "serevr.js --name shop"),
];

#[test]
fn errors_of_programs_say_what_why_and_what_to_do() {
    let mut all = String::new();
    for (about, line) in CASES {
        let folder = full();
        folder.file("page.php", "");
        folder.file("app.ts", "");
        let text = match load(&folder, line) {
            Ok(settings) => panic!("{about}: {settings:?}"),
            Err(error) => report(&folder, &error),
        };
        write!(all, "## {about}: stead run {line}\n{text}\n").unwrap();
    }
    insta::assert_snapshot!("program_errors", all);
}
