//! What a worker runs, and the places in its arguments that each worker fills for itself.

use super::text;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What a worker runs. Arguments may hold `{port}`, `{socket}` and `{fd}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The program itself first: an absolute path that exists and may be executed.
    #[serde(with = "text")]
    pub arguments: Vec<OsString>,
    /// How it was written, for people: `node server.js`.
    pub display: String,
    /// It is started as a Node.js program, directly or by a shell line that becomes one: give it the IPC channel.
    pub is_node: bool,
    /// It runs in a shell.
    pub shell: bool,
}

impl Program {
    /// True when an argument holds this placeholder.
    pub fn uses(&self, placeholder: Placeholder) -> bool {
        self.arguments
            .iter()
            .any(|argument| find(argument.as_bytes(), placeholder.text().as_bytes()).is_some())
    }

    /// The arguments of one worker. A placeholder without a value stays as it is.
    pub fn arguments_with(&self, values: &[(Placeholder, &OsStr)]) -> Vec<OsString> {
        self.arguments
            .iter()
            .map(|argument| {
                values.iter().fold(argument.clone(), |argument, (placeholder, value)| {
                    replace(&argument, placeholder.text().as_bytes(), value.as_bytes())
                })
            })
            .collect()
    }
}

/// What an argument can be given for each worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// `{port}`: a loopback port of the worker's own.
    Port,
    /// `{socket}`: the path of a Unix socket of the worker's own.
    Socket,
    /// `{fd}`: number of a listening socket that the worker inherits.
    Fd,
}

impl Placeholder {
    /// As it is written.
    pub fn text(self) -> &'static str {
        match self {
            Placeholder::Port => "{port}",
            Placeholder::Socket => "{socket}",
            Placeholder::Fd => "{fd}",
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn replace(text: &OsStr, from: &[u8], to: &[u8]) -> OsString {
    let mut rest = text.as_bytes();
    let mut result = Vec::with_capacity(rest.len());
    while let Some(at) = find(rest, from) {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    result.extend_from_slice(rest);
    OsString::from_vec(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(arguments: &[&str]) -> Program {
        let arguments = arguments.iter().map(OsString::from).collect();
        Program { arguments, display: String::new(), is_node: false, shell: false }
    }

    #[test]
    fn placeholders_are_filled_wherever_they_stand() {
        let check = |arguments: &[&str], expected: &[&str]| {
            let values =
                [(Placeholder::Port, OsStr::new("4001")), (Placeholder::Socket, OsStr::new("/run/a.sock"))];
            assert_eq!(program(arguments).arguments_with(&values), expected);
        };
        check(&["serve", "--port={port}"], &["serve", "--port=4001"]);
        check(&["{port}{port}", "unix:{socket}"], &["40014001", "unix:/run/a.sock"]);
        check(&["{fd}", "{Port}", "{", ""], &["{fd}", "{Port}", "{", ""]);
    }

    #[test]
    fn a_program_knows_which_placeholders_it_uses() {
        let program = program(&["serve", "fd://{fd}"]);
        assert!(program.uses(Placeholder::Fd));
        assert!(!program.uses(Placeholder::Port));
    }
}
