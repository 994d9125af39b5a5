//! `defaults.toml` as people read it: each key with its reason and its line.
//!
//! What keys mean to the program is not known here; `schema.rs` and `sample.rs` say this to people and editors, so that
//! there is one text about every key and not three.

use super::DEFAULTS;

/// A table of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// The file itself.
    Top,
    /// `[group.NAME]`.
    Group,
    /// `[app.NAME]`.
    App,
    /// `[pool.NAME]`.
    Pool,
    /// `[app.NAME.schedule.NAME]`.
    Schedule,
}

/// A key as `defaults.toml` explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Explained {
    pub(super) table: Table,
    pub(super) key: &'static str,
    /// The comment above it, line by line; keys that stand together share one.
    pub(super) reason: Vec<&'static str>,
    /// The whole line: `grace = "30s"`. An example, if the key has no default.
    pub(super) line: &'static str,
}

impl Explained {
    /// The comment as one paragraph.
    pub(super) fn paragraph(&self) -> String {
        self.reason.join(" ")
    }
}

/// Every key, in the order of the file.
pub(super) fn explained() -> Vec<Explained> {
    let mut keys = Vec::new();
    let (mut table, mut reason) = (Table::Top, Vec::new());
    for line in DEFAULTS.lines() {
        let comment = line.strip_prefix("# ");
        match (line, comment) {
            ("[group.NAME]", _) => table = Table::Group,
            ("[app.NAME]", _) => table = Table::App,
            ("[pool.NAME]", _) => table = Table::Pool,
            ("[app.NAME.schedule.NAME]", _) => table = Table::Schedule,
            ("", _) => reason.clear(),
            (_, Some(text)) if key_of(text).is_none() => reason.push(text),
            (line, comment) => {
                let line = comment.unwrap_or(line);
                let explained = |key| Explained { table, key, reason: reason.clone(), line };
                keys.extend(key_of(line).map(explained));
            }
        }
    }
    keys
}

/// The key that a line gives a value to.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once(" = ")?;
    (!key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'))
    .then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layers::Defaults;

    #[test]
    fn every_key_is_explained() {
        let explained = explained();
        assert!(explained.iter().all(|explained| !explained.reason.is_empty()));
        let keys = |table| {
            let keys = explained.iter().filter(move |explained| explained.table == table);
            keys.map(|explained| explained.key).collect::<Vec<_>>()
        };
        let defaults = Defaults::read();
        assert_eq!(keys(Table::Top), ["lanes"]);
        for (table, members) in
            [(Table::Group, defaults.group), (Table::App, defaults.app), (Table::Schedule, defaults.schedule)]
        {
            for member in members {
                assert!(keys(table).contains(&member.key.as_str()), "{}", member.key);
            }
        }
        assert_eq!(keys(Table::Group), ["apps", "strategy"]);
        assert!(keys(Table::App).starts_with(&["command", "args"]));
    }

    #[test]
    fn keys_that_stand_together_share_their_reason() {
        let explained = explained();
        let find = |key| explained.iter().find(|explained| explained.key == key).unwrap();
        assert_eq!(find("backoff_first").reason, find("stable_after").reason);
        assert_eq!(find("backoff_max").line, "backoff_max = \"5s\"");
        assert_eq!(find("command").line, "command = \"node server.js\"");
        assert!(find("grace").paragraph().starts_with("For requests in flight"));
    }
}
