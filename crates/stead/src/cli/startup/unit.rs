//! The systemd unit as text. Pure.
//!
//! The keeper is the main process: it stays the same when the daemon dies and through upgrades, so systemd watches the one
//! process that must not go.

use super::plan::Wishes;
use super::quote;

/// The first line: by it a file of ours is known.
pub(super) const MARK: &str = "# Written by `stead startup`; `stead unstartup` removes it.";

/// The unit, for the system's systemd or for the user's own.
pub(super) fn text(wishes: &Wishes) -> String {
    let account = &wishes.account;
    let own = wishes.rootless;
    let program = quote::program(&wishes.binary);
    let mut text =
        format!("{MARK}\n\n[Unit]\nDescription=Stead, which keeps the apps of {} up\n", account.name);
    if !own {
        text.push_str("Wants=network-online.target\nAfter=network-online.target\n");
        text.push_str(&format!("RequiresMountsFor={}\n", quote::path(&account.state)));
    }
    if let Some(session) = session_unit(wishes) {
        text.push_str("# Commands of the user look for the instance in this directory.\n");
        text.push_str(&format!("Wants={session}\nAfter={session}\n"));
    }
    text.push_str(
        "# It is never given up.\nStartLimitIntervalSec=0\n\n[Service]\nType=notify\nNotifyAccess=main\n",
    );
    if !own {
        text.push_str(&format!("User={}\n", account.name));
    }
    for (name, value) in environment(wishes) {
        text.push_str(&quote::environment(name, &value));
        text.push('\n');
    }
    text.push_str(&format!(
        "\
ExecStart={program} background --resurrect
ExecReload={program} reload all

# Started again whatever ends it, except `stead kill`.
Restart=always
RestartPreventExitStatus=0
RestartSec=1
# The keeper answers as long as its daemon does.
WatchdogSec=30

# To stop: the keeper alone is asked, and lets requests finish. Longer than the longest `grace`.
KillMode=mixed
TimeoutStopSec=120

# Connections and workers; a worker may raise its own share.
LimitNOFILE=65536:524288
# Limits of apps (memory_max, cpu_max, tasks_max) need a cgroup of their own below this one.
Delegate=yes
# A worker that is killed for its memory is replaced; that is no reason to end the others.
OOMPolicy=continue

[Install]
WantedBy={}
",
        if own { "default.target" } else { "multi-user.target" }
    ));
    text
}

/// Variables that decide where the instance is and what it can run.
pub(super) fn environment(wishes: &Wishes) -> Vec<(&'static str, String)> {
    let account = &wishes.account;
    vec![
        ("HOME", account.home.display().to_string()),
        ("PATH", wishes.path.clone()),
        ("STEAD_HOME", account.state.display().to_string()),
        ("STEAD_RUNTIME_DIR", account.runtime.display().to_string()),
    ]
}

/// What makes the user's runtime directory at boot, if commands look there.
fn session_unit(wishes: &Wishes) -> Option<String> {
    let needs = !wishes.rootless && needs_lingering(wishes);
    needs.then(|| format!("user@{}.service", wishes.account.uid))
}

/// Sockets in a directory that goes when the user logs out.
pub(super) fn needs_lingering(wishes: &Wishes) -> bool {
    wishes.rootless || wishes.account.runtime.starts_with("/run/user")
}
