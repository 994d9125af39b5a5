//! Node.js and Python: whether they are there, and which.

use super::finding::{Finding, Verdict};
use crate::cli::startup::command;
use std::io;
use std::process::Command;

/// The oldest Node.js whose cluster protocol is known.
const NODE_MIN: u32 = 18;

/// What a program says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Absent,
    Said(String),
    /// It is there and does not run; why.
    Broken(String),
}

pub(super) fn examine() -> Vec<Finding> {
    vec![node(&ask("node")), python(&ask("python3"))]
}

fn ask(program: &str) -> Version {
    match command::run(Command::new(program).arg("--version"), command::SHORT) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Version::Absent,
        Err(error) => Version::Broken(error.to_string()),
        Ok(output) if !output.status.success() => Version::Broken(output.status.to_string()),
        Ok(output) => Version::Said(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
    }
}

fn node(version: &Version) -> Finding {
    let finding = |verdict, text: String| Finding::new("node", verdict, text);
    match version {
        Version::Absent => finding(Verdict::Note, "no `node` in PATH".to_owned())
            .advice("only needed for Node.js programs: version 18 or later"),
        Version::Broken(why) => finding(Verdict::Warning, format!("`node --version` fails: {why}")),
        Version::Said(text) => {
            let major: Option<u32> =
                text.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
            match major {
                Some(major) if major >= NODE_MIN => finding(Verdict::Ok, text.clone()),
                Some(_) => {
                    finding(Verdict::Warning, format!("{text} is too old for workers that share a port"))
                        .advice(format!("Node.js {NODE_MIN} or later"))
                }
                None => finding(Verdict::Note, format!("`node --version` says `{text}`")),
            }
        }
    }
}

fn python(version: &Version) -> Finding {
    let finding = |verdict, text: String| Finding::new("python", verdict, text);
    match version {
        Version::Absent => finding(Verdict::Note, "no `python3` in PATH".to_owned())
            .advice("only needed for Python programs"),
        Version::Broken(why) => finding(Verdict::Warning, format!("`python3 --version` fails: {why}")),
        Version::Said(text) => finding(Verdict::Ok, text.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn versions_are_judged() {
        let said = |text: &str| Version::Said(text.to_owned());
        check(&node(&said("v22.12.0")), Verdict::Ok, "v22.12.0");
        check(&node(&said("v16.20.2")), Verdict::Warning, "too old");
        check(&node(&said("what")), Verdict::Note, "what");
        check(&node(&Version::Absent), Verdict::Note, "no `node`");
        check(&node(&Version::Broken("no memory".to_owned())), Verdict::Warning, "no memory");
        check(&python(&said("Python 3.11.2")), Verdict::Ok, "3.11.2");
        check(&python(&Version::Absent), Verdict::Note, "no `python3`");
        check(&python(&Version::Broken("x".to_owned())), Verdict::Warning, "fails");
        assert_eq!(ask("no-such-program-anywhere"), Version::Absent);
        assert!(matches!(ask("false"), Version::Broken(_)));
    }
}
