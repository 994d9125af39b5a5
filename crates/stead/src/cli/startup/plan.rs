//! What is to be written, run and said for a wish. Pure.

use super::account::Account;
use super::others;
use super::quote::shell_line;
use super::surroundings::Init;
use super::unit;
use std::path::{Path, PathBuf};

/// What was asked for, and where.
#[derive(Clone, Debug)]
pub(super) struct Wishes {
    /// `startup` or `unstartup`.
    pub(super) verb: &'static str,
    pub(super) init: Init,
    /// It was named on the command line.
    pub(super) named_init: bool,
    /// There is a systemd that can be told now, not only at the next boot.
    pub(super) systemd_runs: bool,
    pub(super) root: bool,
    pub(super) rootless: bool,
    pub(super) service_name: Option<String>,
    /// Where programs are looked for.
    pub(super) path: String,
    /// This program.
    pub(super) binary: PathBuf,
    pub(super) account: Account,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    Change(Change),
    /// Somebody with more rights has to run this line.
    AsRoot {
        line: String,
    },
    /// Somebody has to do it.
    Instructions {
        text: String,
    },
}

/// A unit that is written or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    /// Nothing: it is removed.
    pub(super) unit: Option<String>,
    /// Before it is removed.
    pub(super) first: Vec<Vec<String>>,
    /// After it is written or removed.
    pub(super) then: Vec<Vec<String>>,
    /// What a person has to know when it is done.
    pub(super) words: Vec<String>,
}

impl Change {
    /// The whole of it, for people.
    pub(super) fn text(&self) -> String {
        let commands = |list: &[Vec<String>]| -> String {
            list.iter().map(|words| format!("# run: {}\n", shell_line(words))).collect()
        };
        let file = match &self.unit {
            Some(unit) => format!("# write {}:\n{unit}", self.path.display()),
            None => format!("# remove {}\n", self.path.display()),
        };
        commands(&self.first) + &file + &commands(&self.then)
    }
}

/// Has the user's apps started at boot.
pub(super) fn startup(wishes: &Wishes) -> Plan {
    if wishes.init != Init::Systemd {
        return Plan::Instructions { text: others::instructions(wishes) };
    }
    if !wishes.root && !wishes.rootless {
        return Plan::AsRoot { line: as_root(wishes) };
    }
    let name = name(wishes);
    let mut then = Vec::new();
    if wishes.systemd_runs {
        then.push(systemctl(wishes, &["daemon-reload"]));
    }
    then.push(systemctl(wishes, &["enable", &name]));
    let mut words =
        vec![format!("{name}.service is enabled: what `stead save` has kept starts at every boot")];
    if unit::needs_lingering(wishes) {
        let user = &wishes.account.name;
        // Without it the user's directory for sockets, and all of a rootless service, would go when they log out.
        then.push(["loginctl", "enable-linger", user].map(str::to_owned).into());
        words.push(format!("lingering is on for {user}: what belongs to them stays when they log out"));
    }
    let now = shell_line(&systemctl(wishes, &["start", &name]));
    words.push(format!(
        "what runs now stays as it is; to have systemd run it: `stead save && stead kill && {now}`"
    ));
    let path = unit_path(&name, wishes.rootless.then_some(&wishes.account.home));
    Plan::Change(Change { path, unit: Some(unit::text(wishes)), first: Vec::new(), then, words })
}

/// Undoes it. What runs goes on.
pub(super) fn unstartup(wishes: &Wishes) -> Plan {
    if wishes.init != Init::Systemd {
        return Plan::Instructions { text: others::undo(wishes) };
    }
    if !wishes.root && !wishes.rootless {
        return Plan::AsRoot { line: as_root(wishes) };
    }
    let name = name(wishes);
    let first = vec![systemctl(wishes, &["disable", &name])];
    let then = if wishes.systemd_runs { vec![systemctl(wishes, &["daemon-reload"])] } else { Vec::new() };
    let mut words = vec![format!("{name}.service is removed; what runs goes on until the next boot")];
    if unit::needs_lingering(wishes) {
        words.push(format!(
            "lingering stays on for {0}; `loginctl disable-linger {0}` switches it off",
            wishes.account.name
        ));
    }
    let path = unit_path(&name, wishes.rootless.then_some(&wishes.account.home));
    Plan::Change(Change { path, unit: None, first, then, words })
}

/// Where a unit is; `home` for the user's own systemd.
pub(in super::super) fn unit_path(name: &str, home: Option<&PathBuf>) -> PathBuf {
    let folder = match home {
        Some(home) => home.join(".config/systemd/user"),
        None => Path::new("/etc/systemd/system").to_owned(),
    };
    folder.join(format!("{name}.service"))
}

/// The service of a user; in their own systemd there is only theirs.
pub(in super::super) fn default_name(user: &str, rootless: bool) -> String {
    if rootless { "stead".to_owned() } else { format!("stead-{user}") }
}

pub(super) fn name(wishes: &Wishes) -> String {
    wishes.service_name.clone().unwrap_or_else(|| default_name(&wishes.account.name, wishes.rootless))
}

fn systemctl(wishes: &Wishes, words: &[&str]) -> Vec<String> {
    let user = wishes.rootless.then_some("--user");
    std::iter::once("systemctl").chain(user).chain(words.iter().copied()).map(str::to_owned).collect()
}

/// The same command for somebody who may do it. What this environment says is said in full, because sudo forgets it.
fn as_root(wishes: &Wishes) -> String {
    let account = &wishes.account;
    let mut words = vec!["sudo".to_owned(), "env".to_owned()];
    let variables = unit::environment(wishes);
    let passed = variables.into_iter().filter(|(name, _)| *name != "HOME");
    words.extend(passed.map(|(name, value)| format!("{name}={value}")));
    words.push(wishes.binary.display().to_string());
    words.push(wishes.verb.to_owned());
    if wishes.named_init {
        words.push("systemd".to_owned());
    }
    words.extend(["-u".to_owned(), account.name.clone(), "--hp".to_owned()]);
    words.push(account.home.display().to_string());
    if let Some(name) = &wishes.service_name {
        words.extend(["--service-name".to_owned(), name.clone()]);
    }
    shell_line(&words)
}
