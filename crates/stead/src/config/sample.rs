//! The `stead.toml` that somebody begins with: one app, and below it the keys that are changed most often, switched off, with
//! their defaults and reasons as `defaults.toml` gives them.

use super::discover::Start;
use super::reference::{Explained, Table, explained};

/// Keys worth knowing on the first day, in the order of the file.
const KEYS: [&str; 14] = [
    "env",
    "env_production",
    "instances",
    "listen",
    "ready",
    "restart",
    "grace",
    "recycle_memory",
    "watch",
    "cron_restart",
    "before_start",
    "health",
    "logs",
    "log_total_bytes_max",
];

const HEAD: &str = "\
# What Stead runs here: `stead start` in the background, `stead run` on this terminal, `stead config check` only looks.
#
# Keys with a # in front have the value that they have anyway. There are more: `stead config defaults` prints all of them.
";

/// The text of the file.
pub fn sample(start: &Start) -> String {
    let mut text =
        format!("{HEAD}\n[app.{}]\n\n{}\n", quoted(&start.name), assign("command", &start.command));
    let shown: Vec<Explained> = explained()
        .into_iter()
        .filter(|explained| explained.table == Table::App && KEYS.contains(&explained.key))
        .collect();
    for key in shown {
        text.push('\n');
        key.reason.iter().for_each(|line| text.push_str(&format!("# {line}\n")));
        match (key.key, &start.listen) {
            ("listen", Some(address)) => text.push_str(&format!("{}\n", assign("listen", address))),
            _ => text.push_str(&format!("#{}\n", key.line)),
        }
    }
    text
}

fn assign(key: &str, value: &str) -> String {
    format!("{key} = {}", toml::Value::from(value))
}

/// A dot in a name would make two names of it.
fn quoted(name: &str) -> String {
    if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test_support::Folder;
    use crate::config::{AppSettings, load_from};
    use std::collections::BTreeMap;

    /// What the real reader makes of a text.
    fn read(text: &str) -> AppSettings {
        let folder = Folder::new();
        folder.program("bin/node", "");
        folder.file("server.js", "");
        folder.file("stead.toml", text);
        let path = folder.path().join("bin").into_os_string();
        let environment = BTreeMap::from([("PATH".into(), path)]);
        let mut settings = load_from(&crate::cli::RunArguments::default(), folder.path(), &environment)
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut app = settings.apps.pop().expect("the sample has an app");
        // What differs from folder to folder.
        app.directory.clear();
        app.program.arguments.clear();
        app.environment.clear();
        app
    }

    fn start(listen: Option<&str>) -> Start {
        let (name, command) = ("shop.v2".to_owned(), "node server.js".to_owned());
        Start { name, command, listen: listen.map(str::to_owned), note: None }
    }

    #[test]
    fn the_sample_is_read_as_the_bare_app_is() {
        let bare = read("[app.\"shop.v2\"]\ncommand = \"node server.js\"\n");
        let text = sample(&start(None));
        assert_eq!(read(&text), bare);
        // The same when everything in it is switched on: what is shown are the defaults.
        let switched_on: Vec<&str> = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => rest,
                _ => line,
            })
            .collect();
        assert_eq!(read(&switched_on.join("\n")), bare);
        assert_eq!(switched_on.iter().filter(|line| line.starts_with("grace = ")).count(), 1);
    }

    #[test]
    fn every_key_of_the_sample_is_a_key() {
        let text = sample(&start(Some("8080")));
        for key in KEYS {
            assert!(text.lines().any(|line| line.trim_start_matches('#').starts_with(&format!("{key} = "))));
        }
        assert_eq!(read(&text).listen.len(), 1);
        insta::assert_snapshot!("sample", text);
    }
}
