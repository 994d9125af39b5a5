//! The apps of a PM2 file, from its plain values.

use super::command;
use super::draft::{Draft, Note, Weight, fit_name};
use super::error::ForeignError;
use super::keys::{Fate, KEYS, Key, camel, find};
use super::take;
use crate::config::program::tidy;
use crate::config::suggest::nearest;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Keys beside the apps.
const BESIDE: [(&str, &str); 2] = [
    (
        "deploy",
        "Stead does not copy programs to other machines: `git` and `ssh` do, then `stead startOrReload` on the machine",
    ),
    (
        "static",
        "files are not served: a web server, or a program such as `npx serve`, is an app like any other",
    ),
];

const ENV_FILE: &str = "PM2 has no such key; Node.js reads such a file by node_args = \"--env-file=.env\"";

/// Keys that later ones build upon, in this order.
const FIRST: [&str; 4] = ["name", "name_prefix", "script", "cwd"];

/// Keys whose values are paths, in which `~` is the home of whoever calls.
const PATHS: [&str; 6] = ["script", "cwd", "exec_interpreter", "out_file", "error_file", "log_file"];

/// The file, and what is around it, as far as its apps need it.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// As it was named.
    pub(super) name: &'a Path,
    /// Where it is: absolute.
    pub(super) directory: &'a Path,
    /// Where it was named: absolute.
    pub(super) called_in: &'a Path,
    pub(super) environment: &'a BTreeMap<OsString, OsString>,
}

/// All apps, with unique names, and what was found beside them.
pub(super) fn apps(value: &Value, place: Place<'_>) -> Result<(Vec<Draft>, Vec<Note>), ForeignError> {
    let none = |reason: &str| ForeignError::NoApp { path: place.name.to_owned(), reason: reason.to_owned() };
    let (list, beside) = match value {
        Value::Array(list) => (list.as_slice(), Vec::new()),
        Value::Object(members) => match members.get("apps").or_else(|| members.get("pm2")) {
            Some(Value::Array(list)) => (list.as_slice(), notes_beside(members)),
            Some(inner @ Value::Object(_)) if inner.get("apps").is_some() => return apps(inner, place),
            Some(app @ Value::Object(_)) => (std::slice::from_ref(app), notes_beside(members)),
            Some(_) => return Err(none("`apps` is not a list")),
            None if has_script(members) => (std::slice::from_ref(value), Vec::new()),
            None => return Err(none("it has neither `apps` nor a `script`")),
        },
        _ => return Err(none("it is not an object")),
    };
    if list.is_empty() {
        return Err(none("`apps` is empty"));
    }
    let mut drafts: Vec<Draft> = Vec::new();
    for (index, app) in list.iter().enumerate() {
        let Value::Object(members) = app else {
            return Err(none(&format!("`apps[{index}]` is not an object")));
        };
        let mut draft = draft(members, place);
        make_unique(&mut draft, &drafts);
        drafts.push(draft);
    }
    Ok((drafts, beside))
}

fn has_script(members: &Map<String, Value>) -> bool {
    members.keys().any(|name| find(name).is_some_and(|key| key.names[0] == "script"))
}

fn notes_beside(members: &Map<String, Value>) -> Vec<Note> {
    let others = members.keys().filter(|key| *key != "apps" && *key != "pm2");
    let note = |key: &String| {
        let reason = BESIDE.iter().find(|(known, _)| known == key).map(|(_, reason)| *reason);
        Note::new(key, reason.unwrap_or("PM2 has no such key"), Weight::Lost)
    };
    others.map(note).collect()
}

fn draft(members: &Map<String, Value>, place: Place<'_>) -> Draft {
    let mut draft = Draft::new(place.directory);
    let home = place.environment.get(OsStr::new("HOME")).map(PathBuf::from);
    let is_first = |key: &&Key| FIRST.contains(&key.names[0]);
    let take = |key: &Key, draft: &mut Draft| take_key(key, (members, home.as_deref()), draft);
    KEYS.iter().filter(is_first).for_each(|key| take(key, &mut draft));
    give_name(&mut draft);
    give_directory(&mut draft, place);
    KEYS.iter().filter(|key| !is_first(key)).for_each(|key| take(key, &mut draft));
    for (name, value) in members {
        if name == "env_file" && !value.is_object() {
            draft.note(name, ENV_FILE);
        } else if name.starts_with("env_") && name.len() > "env_".len() {
            take_with(take::profile, name, value, &mut draft);
        } else if find(name).is_none() {
            draft.note(name, unknown(name));
        }
    }
    add_port(&mut draft);
    silence(&mut draft);
    // Many programs that run under PM2 listen to nothing else.
    draft.set("stop_signal", "SIGINT", "PM2_KILL_SIGNAL").remark("what PM2 asks with");
    command::finish(&mut draft);
    draft.notes.sort_by_key(|note| note.weight);
    draft
}

fn unknown(name: &str) -> String {
    let names = KEYS.iter().flat_map(|key| key.names).copied();
    let camels: Vec<String> = names.clone().map(camel).collect();
    match nearest(name, names.chain(camels.iter().map(String::as_str))) {
        Some(nearest) => format!("PM2 has no such key; did you mean `{nearest}`?"),
        None => "PM2 has no such key".to_owned(),
    }
}

/// The first of a key's names that is there.
fn take_key(key: &Key, (members, home): (&Map<String, Value>, Option<&Path>), draft: &mut Draft) {
    let written = members.iter().filter(|(_, value)| !value.is_null());
    let mut written = written.filter(|(name, _)| find(name).is_some_and(|found| found.names == key.names));
    let Some((name, value)) = written.next() else { return };
    match key.fate {
        Fate::Taken(take) if PATHS.contains(&key.names[0]) => {
            take_with(take, name, &at_home(value, home), draft);
        }
        Fate::Taken(take) => take_with(take, name, value, draft),
        Fate::Needless(reason) => draft.notes.push(Note::new(name, reason, Weight::Needless)),
        Fate::NotOffered(_) if is_nothing(value) => (),
        Fate::NotOffered(reason) => draft.note(name, reason),
    }
}

fn take_with(
    take: fn(&Value, &str, &mut Draft) -> Result<(), String>,
    name: &str,
    value: &Value,
    draft: &mut Draft,
) {
    if let Err(reason) = take(value, name, draft) {
        draft.notes.push(Note::new(name, reason, Weight::Mistake));
    }
}

/// `false`, and what is empty, asks for nothing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// `~/logs` as PM2 understands it.
fn at_home<'a>(value: &'a Value, home: Option<&Path>) -> Cow<'a, Value> {
    let rest = value.as_str().and_then(|text| text.strip_prefix('~'));
    match (rest.filter(|rest| rest.is_empty() || rest.starts_with('/')), home) {
        (Some(rest), Some(home)) => Cow::Owned(format!("{}{rest}", home.display()).into()),
        _ => Cow::Borrowed(value),
    }
}

/// PM2 looks for everything from where it is called. Here a file means what is beside it, wherever it is called from; but
/// what is not there, and is where PM2 would find it, is meant as PM2 does.
fn give_directory(draft: &mut Draft, place: Place<'_>) {
    let Some(script) = draft.pending.script.as_deref() else { return };
    let cwd = draft.settings.iter().position(|setting| setting.key == "cwd");
    let relative = cwd.and_then(|at| draft.settings[at].value.as_str()).unwrap_or_default();
    let called = tidy(&place.called_in.join(relative));
    if draft.pending.directory.join(script).exists() || !called.join(script).exists() {
        return;
    }
    if let Some(at) = cwd {
        draft.settings.remove(at);
    }
    draft.set("cwd", called.to_string_lossy().into_owned(), "cwd");
    draft.remark("where PM2 was called: there is no such script beside the file");
    draft.pending.directory = called;
}

/// By PM2's rules: the name that was given, else the script's.
fn give_name(draft: &mut Draft) {
    let pending = &draft.pending;
    let script = pending.script.as_deref().and_then(|script| script.split_whitespace().next());
    let stem = script.and_then(|script| Path::new(script).file_stem()).map(|stem| stem.to_string_lossy());
    let written = pending.name.clone().or_else(|| stem.map(|stem| stem.into_owned())).unwrap_or_default();
    let whole = match &pending.prefix {
        Some(prefix) => format!("{prefix}-{written}"),
        None => written,
    };
    draft.name = fit_name(&whole);
    if pending.name.is_some() && draft.name != whole {
        let reason =
            format!("`{whole}` is called `{}`: names have letters, digits, `-`, `_` and `.`", draft.name);
        draft.note("name", reason);
    }
}

fn make_unique(draft: &mut Draft, others: &[Draft]) {
    let is_taken = |name: &str| others.iter().any(|other| other.name == name);
    if !is_taken(&draft.name) {
        return;
    }
    let first = draft.name.clone();
    let free = (2_u32..).map(|number| format!("{first}-{number}")).find(|name| !is_taken(name));
    draft.name = free.expect("there are more numbers than apps");
    draft.note("name", format!("there is a `{first}` already: this one is called `{}`", draft.name));
}

/// A port is a variable like others; one in `env` is weaker, as with PM2.
fn add_port(draft: &mut Draft) {
    let Some(port) = draft.pending.port.take() else { return };
    let env = draft.settings.iter_mut().find(|setting| setting.key == "env");
    match env.and_then(|setting| setting.value.as_table_mut()) {
        Some(table) => {
            table.insert("PORT".to_owned(), port.into());
        }
        None => {
            draft.set("env", toml::Table::from_iter([("PORT".to_owned(), port.into())]), "port");
        }
    }
}

fn silence(draft: &mut Draft) {
    let silenced = std::mem::take(&mut draft.pending.silenced);
    match silenced.as_slice() {
        [] => (),
        [one] => {
            draft.note(one, "one stream alone is not switched off: `logs = \"off\"` keeps nothing of either");
        }
        [one, ..] => {
            draft.set("logs", "off", one);
        }
    }
}
