//! The rules of the house that no compiler checks: what may know what, how long things are, where unsafe and printing live.
//!
//! A failure names file and line and says what to do. The rules themselves are pure and stand in `tidy/rules.rs`; here is which
//! files each of them is for, and a proof that each of them bites.

#[path = "tidy/rules.rs"]
mod rules;

use rules::Complaint;
use std::fs;
use std::path::{Path, PathBuf};

/// The only arrows that are drawn between rooms; ARCHITECTURE.md says why.
const ARROWS: [(&str, &[&str]); 8] = [
    ("stead", &["control", "supervisor", "balancer", "jobs", "logs", "messages", "process", "load"]),
    ("control", &[]),
    ("supervisor", &["process"]),
    ("balancer", &["process"]),
    ("jobs", &[]),
    ("logs", &[]),
    ("messages", &[]),
    ("process", &[]),
];

/// What is made, fetched or kept for git alone: not ours to judge.
const NOT_OURS: [&str; 7] =
    ["target", "node_modules", ".git", ".cache", "corpus", "artifacts", "__pycache__"];

/// A file of the repository, with its path from the root.
struct File {
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_test(&self) -> bool {
        let in_tests = self.path.starts_with("tests/") || self.path.contains("/tests/");
        in_tests || ["tests.rs", "test_support.rs"].iter().any(|name| self.path.ends_with(name))
    }

    fn is_program(&self) -> bool {
        let folders = ["tests/fixtures/", "examples/"];
        let extensions = [".js", ".cjs", ".mjs", ".ts", ".py", ".ru", ".rb", ".c", ".sh"];
        folders.iter().any(|folder| self.path.starts_with(folder))
            && extensions.iter().any(|e| self.path.ends_with(e))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the repository is where the crate was compiled")
}

fn files() -> Vec<File> {
    let mut files = Vec::new();
    collect(&root(), &root(), &mut files);
    assert!(files.len() > 20, "tidy found only {} files: is it looking at the right folder?", files.len());
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder that was just listed can be read") {
        let entry = entry.expect("a folder's entry can be read");
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().expect("an entry has a type");
        if NOT_OURS.iter().any(|not_ours| name == *not_ours) {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, files);
        } else if let (true, Ok(text)) = (kind.is_file(), fs::read_to_string(&path)) {
            let path =
                path.strip_prefix(root).expect("it was found below the root").to_string_lossy().into_owned();
            files.push(File { path, text });
        }
    }
}

/// Applies a rule to the files it is for, and fails with all complaints at once.
fn every(is_for: impl Fn(&File) -> bool, rule: impl Fn(&File) -> Vec<Complaint>) {
    let files = files();
    let complaints: Vec<String> = files
        .iter()
        .filter(|file| is_for(file))
        .flat_map(|file| rule(file).into_iter().map(|c| format!("{}:{}: {}", file.path, c.line, c.text)))
        .collect();
    assert!(complaints.is_empty(), "\n\n{}\n", complaints.join("\n"));
}

#[test]
fn every_rust_file_says_what_it_is_for() {
    every(File::is_rust, |file| rules::module_doc(&file.text));
}

#[test]
fn every_fixture_and_example_says_what_it_does() {
    every(File::is_program, |file| rules::opening_comment(&file.text));
}

#[test]
fn no_file_is_too_long() {
    every(
        |file| {
            let in_sdk = file.path.starts_with("sdk/");
            file.is_rust() || file.is_program() || in_sdk || file.path == "check"
        },
        |file| rules::file_length(&file.text),
    );
}

#[test]
fn no_function_is_too_long() {
    every(File::is_rust, |file| rules::function_length(&file.text));
}

#[test]
fn no_test_is_switched_off_and_no_code_is_missing() {
    every(File::is_rust, |file| rules::no_holes(&file.text));
}

#[test]
fn only_the_output_module_prints() {
    let may_print = |path: &str| path == "crates/stead/src/cli/output.rs" || path.ends_with("/build.rs");
    let is_for = |file: &File| {
        file.is_rust() && file.path.starts_with("crates/") && !file.is_test() && !may_print(&file.path)
    };
    every(is_for, |file| rules::no_printing(&file.text));
}

#[test]
fn unsafe_stands_in_the_process_room_and_has_a_reason() {
    let in_process = |file: &File| file.path.starts_with("crates/process/");
    every(|file| file.is_rust() && in_process(file), |file| rules::unsafe_has_reason(&file.text));
    every(|file| file.is_rust() && !in_process(file), |file| rules::no_unsafe(&file.text, file.is_test()));
}

#[test]
fn nothing_names_one_machine_or_a_package_host() {
    every(|_| true, |file| rules::no_foreign_places(&file.text));
}

#[test]
fn every_dependency_has_a_reason() {
    every(|file| file.path == "Cargo.toml", |file| rules::dependencies_have_reasons(&file.text));
}

#[test]
fn rooms_know_only_what_they_may() {
    let room = |file: &File| Some(file.path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?.to_owned());
    every(
        |file| room(file).is_some(),
        |file| {
            let room = room(file).unwrap_or_default();
            match ARROWS.iter().find(|(name, _)| *name == room) {
                Some((_, arrows)) => rules::crate_dependencies(&file.text, arrows),
                None => vec![Complaint {
                    line: 1,
                    text: format!("`{room}` is a new room: draw its arrows in tests/tidy.rs"),
                }],
            }
        },
    );
}

#[test]
fn every_room_is_on_the_map() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is the map");
    every(
        |file| file.path.starts_with("crates/") && file.path.ends_with("/Cargo.toml"),
        |file| {
            let room = file.path.trim_end_matches("/Cargo.toml");
            let missing = !map.contains(&format!("`{room}`"));
            missing
                .then(|| Complaint { line: 1, text: format!("`{room}` is not in ARCHITECTURE.md") })
                .into_iter()
                .collect()
        },
    );
}

#[test]
fn links_between_documents_lead_somewhere() {
    every(
        |file| file.path.ends_with(".md"),
        |file| {
            let folder = root().join(&file.path).parent().expect("a file has a folder").to_owned();
            let links = rules::relative_links(&file.text).into_iter();
            let broken = links.filter(|(_, target)| !folder.join(target).exists());
            broken
                .map(|(line, target)| Complaint { line, text: format!("`{target}` does not exist") })
                .collect()
        },
    );
}

/// Each rule accepts the first text and complains about the second at the given line.
#[track_caller]
fn check(rule: impl Fn(&str) -> Vec<Complaint>, good: &str, bad: &str, line: usize) {
    assert_eq!(rule(good), [], "a good text is accepted");
    let lines: Vec<usize> = rule(bad).iter().map(|complaint| complaint.line).collect();
    assert_eq!(lines, [line], "a bad text is found");
}

#[test]
fn rules_about_form_bite() {
    check(rules::module_doc, "//! What it is for.\n", "use std::fs;\n", 1);
    check(rules::opening_comment, "#!/bin/sh\n# What it does.\n", "const x = 1;\n", 1);
    check(rules::file_length, &"x\n".repeat(600), &"x\n".repeat(601), 601);
    let function = |lines| {
        format!(
            "impl A {{\n    fn a(\n    );\n\n    pub fn b() {{\n{}    }}\n}}\n",
            "        x;\n".repeat(lines)
        )
    };
    check(rules::function_length, &function(68), &function(69), 5);
}

#[test]
fn rules_about_code_bite() {
    check(
        rules::no_holes,
        concat!("// todo", "!() later\nlet x = 1;\n"),
        concat!("\nlet x = todo", "!();\n"),
        2,
    );
    let printing = concat!("print", "ln!(\"x\");\n");
    check(rules::no_printing, &format!("//! A\n#[cfg(test)]\nmod tests {{\n{printing}}}\n"), printing, 1);
    let block = concat!("let x = unsafe", " { f() };\n");
    check(|text| rules::no_unsafe(text, true), &format!("// SAFETY: f reads nothing.\n{block}"), block, 1);
    check(
        |text| rules::no_unsafe(text, false),
        "let x = f();\n",
        &format!("// SAFETY: f reads nothing.\n{block}"),
        2,
    );
    check(
        rules::unsafe_has_reason,
        &format!("// SAFETY: f reads nothing.\n{block}"),
        &format!("g();\n{block}"),
        2,
    );
}

#[test]
fn rules_about_places_and_dependencies_bite() {
    check(rules::no_foreign_places, "/srv/shop\n", concat!("x\n/ho", "me/me\n"), 2);
    check(rules::no_foreign_places, "x\n", concat!("https://registry.", "npmjs.org/x\n"), 1);
    let section = "[workspace.dependencies]\nstead-x = {}\n";
    check(
        rules::dependencies_have_reasons,
        &format!("{section}# Why.\na = \"1\"\nb = \"1\"\n"),
        &format!("{section}a = \"1\"\n"),
        3,
    );
    let arrows = |text: &str| rules::crate_dependencies(text, &["process"]);
    let line = |name: &str| format!("[dependencies]\n{name} = {{ workspace = true }}\n");
    check(arrows, &line("stead-process"), &line("stead-control"), 2);
    check(arrows, "[package]\nversion = \"1\"\n", "[dev-dependencies]\na = \"1\"\n", 2);
}
