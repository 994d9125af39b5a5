//! The program of an app of PM2's: script, arguments and interpreter together become a command.

use super::draft::{Draft, Note, Pending, Setting, Weight};
use crate::config::interpreter::by_extension;
use crate::config::search::{Found, look_at, shebang};
use crate::config::shell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use toml::Value;

/// Node.js programs whose arguments are a script's name: together they are one command.
const MANAGERS: [&str; 3] = ["npm", "yarn", "pnpm"];

/// What PM2 runs scripts with, where it is not what Stead does.
const INTERPRETERS: [(&str, &str); 5] =
    [("sh", "bash"), ("pl", "perl"), ("coffee", "coffee"), ("ls", "lsc"), ("tsx", "bun")];

/// Bytes in which a text has no zero.
const TEXT_BYTES: u64 = 1024;

/// The settings that say what runs, in front of all others.
pub(super) fn finish(draft: &mut Draft) {
    let pending = std::mem::take(&mut draft.pending);
    let Some(script) = pending.script.clone() else {
        if draft.notes.iter().all(|note| note.weight != Weight::Mistake) {
            draft.notes.push(Note::new("script", "the app has none", Weight::Mistake));
        }
        return;
    };
    let program = program(&script, &pending, &mut draft.notes);
    let setting = |key: &str, value: Value, from: &str| Setting {
        key: key.to_owned(),
        value,
        from: from.to_owned(),
        remark: None,
    };
    let list = |words: Vec<String>| Value::Array(words.into_iter().map(Value::String).collect());
    let mut settings = vec![setting("command", program.command.into(), "script")];
    if !program.arguments.is_empty() {
        settings.push(setting("args", list(program.arguments), "args"));
    }
    if let Some(interpreter) = program.interpreter {
        settings.push(setting("interpreter", interpreter.into(), "interpreter"));
    }
    if !program.interpreter_arguments.is_empty() {
        settings.push(setting("interpreter_args", list(program.interpreter_arguments), "node_args"));
    }
    if program.shell {
        settings.push(setting("shell", true.into(), "script"));
    }
    draft.settings.splice(0..0, settings);
}

#[derive(Default)]
struct Program {
    command: String,
    arguments: Vec<String>,
    interpreter: Option<String>,
    interpreter_arguments: Vec<String>,
    shell: bool,
}

fn program(script: &str, pending: &Pending, notes: &mut Vec<Note>) -> Program {
    let file = pending.directory.join(script);
    let simple =
        Program { command: script.to_owned(), arguments: pending.arguments.clone(), ..Program::default() };
    let interpreted = Path::new(script);
    if MANAGERS.contains(&script) {
        no_flags(pending, notes);
        let words = std::iter::once(script).chain(pending.arguments.iter().map(String::as_str));
        let words: Vec<OsString> = words.map(OsString::from).collect();
        let command = shell::join(&words).to_string_lossy().into_owned();
        return Program { command, ..Program::default() };
    }
    if !file.is_file() && script.contains(char::is_whitespace) {
        no_flags(pending, notes);
        return Program { shell: shell::simple_line(script).is_none(), ..simple };
    }
    let interpreter = match pending.interpreter.as_deref() {
        // A program in PATH runs by itself anyway.
        Some("none") if !file.is_file() => None,
        Some(name) if !file.is_file() && is_bare(interpreted) => {
            let reason = format!(
                "`{script}` is a program of its own: for one that `{name}` has installed, name its file"
            );
            notes.push(Note::new("interpreter", reason, Weight::Lost));
            None
        }
        Some("node") if is_javascript(interpreted) => None,
        Some("python" | "python3") if interpreted.extension() == Some(OsStr::new("py")) => None,
        Some(name) => Some(name.to_owned()),
        None if file.is_file() => default_interpreter(interpreted, &file),
        None => None,
    };
    Program { interpreter, interpreter_arguments: pending.interpreter_arguments.clone(), ..simple }
}

/// A line for a shell, or a package's script, has no interpreter that flags could be given to.
fn no_flags(pending: &Pending, notes: &mut Vec<Note>) {
    if !pending.interpreter_arguments.is_empty() {
        let reason = format!(
            "the command has no interpreter of its own: write env = {{ NODE_OPTIONS = \"{}\" }}",
            pending.interpreter_arguments.join(" ")
        );
        notes.push(Note::new("node_args", reason, Weight::Lost));
    }
}

/// A word that is looked for in PATH.
fn is_bare(script: &Path) -> bool {
    script.components().count() == 1 && script.extension().is_none()
}

fn is_javascript(script: &Path) -> bool {
    ["js", "cjs", "mjs"].iter().any(|known| script.extension() == Some(OsStr::new(known)))
}

/// What PM2 would run this file with, where Stead would choose otherwise.
fn default_interpreter(script: &Path, file: &Path) -> Option<String> {
    let extension = script.extension().and_then(OsStr::to_str).unwrap_or_default();
    if let Some((_, interpreter)) = INTERPRETERS.iter().find(|(known, _)| *known == extension) {
        return Some((*interpreter).to_owned());
    }
    let runs_by_itself = matches!(look_at(file.to_owned()), Found::Program(_)) && shebang(file).is_some();
    let is_known = by_extension(script).is_some() || runs_by_itself || !is_text(file);
    (!is_known).then(|| "node".to_owned())
}

fn is_text(file: &Path) -> bool {
    let mut bytes = Vec::new();
    // What cannot be read is left to the one who starts it.
    let read = File::open(file).and_then(|file| file.take(TEXT_BYTES).read_to_end(&mut bytes));
    read.is_ok() && !bytes.contains(&0)
}
