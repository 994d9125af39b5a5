//! "The page for PM2's users is true: what it says is offered is there, and what is not says so itself."

use std::process::Command;

/// A row of a table: the words of its first column, and what its second says.
struct Row {
    words: Vec<String>,
    here: String,
}

/// The rows below a heading.
fn rows(heading: &str) -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/coming-from-pm2.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let part = page.split(&format!("\n## {heading}\n")).nth(1).expect("the heading is there");
    let part = part.split("\n## ").next().unwrap_or_default();
    let rows: Vec<Row> = part
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" |");
            let words = cells.next()?.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            Some(Row { words, here: cells.next()?.trim().to_owned() })
        })
        .filter(|row| !row.words.is_empty())
        .collect();
    assert!(rows.len() > 10, "{heading} has a table");
    rows
}

/// What `stead` says to these words, with its code.
fn stead(words: &[&str]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_stead"));
    command.args(words).current_dir(directory.path()).env("STEAD_HOME", directory.path());
    let output = command.output().expect("it can be run");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn verbs_are_what_the_page_says() {
    for row in rows("Verbs") {
        for word in &row.words {
            let (code, said) = stead(&[word, "--help"]);
            match row.here.as_str() {
                "not offered" => assert!(said.contains("is not offered"), "{word}: {said}"),
                "same" | "different" => assert_eq!(code, Some(0), "{word}: {said}"),
                other => panic!("`{other}` at {word}"),
            }
        }
    }
}

#[test]
fn options_are_what_the_page_says() {
    for row in rows("Options") {
        for word in &row.words {
            let (_, said) = stead(&["start", word, "--help"]);
            match row.here.as_str() {
                "not offered" => assert!(said.contains("is not offered"), "{word}: {said}"),
                "not needed" => {
                    assert!(!said.contains("unexpected argument"), "{word}: {said}");
                    // Help says nothing else; what is not needed is left out everywhere.
                    let (_, said) = stead(&["list", word]);
                    assert!(said.contains("is not needed"), "{word}: {said}");
                }
                "same" | "different" => {
                    let wrong = ["is not offered", "is not needed", "unexpected argument"];
                    assert!(!wrong.iter().any(|text| said.contains(text)), "{word}: {said}");
                }
                other => panic!("`{other}` at {word}"),
            }
        }
    }
}
