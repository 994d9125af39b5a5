//! Where `stead pool run` has the input of a task from: the command line, a file (`@a.json`), or standard input (`-`).
//!
//! It is passed on as it was written. Whether a pool takes as much is the pool's business (`task_bytes_max`).

use super::output::Output;
use super::{ExitCode, Report};
use serde_json::value::RawValue;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use stead_control::TASK_BYTES_MAX;

/// The input that an argument means.
pub(super) fn read(argument: &str, output: &mut Output) -> Result<Vec<u8>, Report> {
    match argument.strip_prefix('@').unwrap_or(argument) {
        "-" => {
            if io::stdin().is_terminal() {
                output.words("waiting for the input of the task on standard input: JSON, and then Ctrl-D");
            }
            json("standard input", take(io::stdin().lock(), "standard input")?)
        }
        path if path != argument => {
            let what = format!("`{path}`");
            let file = File::open(path).map_err(|error| unread(&what, &error))?;
            json(&what, take(file, &what)?)
        }
        text => match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => Ok(text.as_bytes().to_vec()),
            Err(error) => Err(Report::new(ExitCode::Usage, "the input is not JSON").cause(error.to_string()).hint(
                "a text is written with quotes inside quotes: '\"hello\"'; an object as '{\"file\": \"a.png\"}'; `@a.json` is a file, \
                 `-` standard input",
            )),
        },
    }
}

fn take(from: impl Read, what: &str) -> Result<Vec<u8>, Report> {
    let mut bytes = Vec::new();
    from.take(TASK_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| unread(what, &error))?;
    if bytes.len() > TASK_BYTES_MAX {
        let most = TASK_BYTES_MAX >> 20;
        let report =
            Report::new(ExitCode::Usage, format!("{what} has more than {most} MiB, too much for a task"));
        return Err(report.hint("give the worker its name instead, or a task per line: `stead map`"));
    }
    Ok(bytes)
}

fn json(what: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Report> {
    if bytes.trim_ascii().is_empty() {
        let report = Report::new(ExitCode::Usage, format!("there is nothing in {what}"));
        return Err(report.hint("a task without input is given without the argument, or as `null`"));
    }
    match serde_json::from_slice::<&RawValue>(&bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Report::new(ExitCode::Usage, format!("{what} is not JSON"))
            .cause(error.to_string())
            .hint("all of it is one task; a file with a task per line is for `stead map`")),
    }
}

fn unread(what: &str, error: &io::Error) -> Report {
    Report::new(ExitCode::Usage, format!("the input cannot be read from {what}")).cause(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_input_is_told_with_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |text: &str| {
            let path = folder.path().join("input");
            std::fs::write(&path, text).expect("there is room");
            format!("@{}", path.display())
        };
        let check = |argument: &str, message: &str, cause: Option<&str>| {
            let report = read(argument, &mut Output::standard()).expect_err(argument);
            let told = report.message.replace(&folder.path().display().to_string(), "");
            assert_eq!((told.as_str(), report.causes.first().map(String::as_str)), (message, cause));
        };
        check("{", "the input is not JSON", Some("EOF while parsing an object at line 1 column 1"));
        check(&file("{\n  \"a\": x}"), "`/input` is not JSON", Some("expected value at line 2 column 8"));
        check(&file("1\n2\n"), "`/input` is not JSON", Some("trailing characters at line 2 column 1"));
        check(&file(" \n"), "there is nothing in `/input`", None);
        let missing = "No such file or directory (os error 2)";
        check("@/nowhere/a.json", "the input cannot be read from `/nowhere/a.json`", Some(missing));
        check("@", "the input cannot be read from ``", Some(missing));
    }

    #[test]
    fn an_input_is_passed_on_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("input");
        let text = "{ \"b\": 12345678901234567890123,\n  \"a\": 1.10 }\n";
        std::fs::write(&path, text).expect("there is room");
        for argument in [text.to_owned(), format!("@{}", path.display())] {
            assert_eq!(read(&argument, &mut Output::standard()).expect("it is JSON"), text.as_bytes());
        }
    }
}
