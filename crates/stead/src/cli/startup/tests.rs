//! What is written and said for each init system, and that it is carried out whole or not at all.

use super::account::Account;
use super::plan::{Change, Plan, Wishes, startup, unstartup};
use super::surroundings::Init;
use super::{command, perform};
use crate::cli::test_support::Printed;
use std::path::Path;
use std::process::Command;

fn wishes(init: Init) -> Wishes {
    Wishes {
        verb: "startup",
        init,
        named_init: false,
        systemd_runs: true,
        root: true,
        rootless: false,
        service_name: None,
        path: "/srv/shop/.nvm/bin:/usr/local/bin:/usr/bin:/bin".to_owned(),
        binary: "/usr/local/bin/stead".into(),
        account: Account {
            name: "shop".to_owned(),
            uid: 1000,
            home: "/srv/shop".into(),
            state: "/srv/shop/.local/state/stead".into(),
            runtime: "/run/user/1000/stead".into(),
        },
    }
}

fn text(plan: &Plan) -> String {
    match plan {
        Plan::Change(change) => format!("{}# say:\n# {}\n", change.text(), change.words.join("\n# ")),
        Plan::AsRoot { line } => format!("{line}\n"),
        Plan::Instructions { text } => text.clone(),
    }
}

#[track_caller]
fn check(name: &str, plan: &Plan) {
    insta::assert_snapshot!(name, text(plan));
}

#[test]
fn root_gets_a_unit_of_the_system() {
    check("systemd_root", &startup(&wishes(Init::Systemd)));
    let of_root = Account {
        name: "root".to_owned(),
        uid: 0,
        home: "/srv/admin".into(),
        state: "/srv/admin/.local/state/stead".into(),
        runtime: "/run/stead".into(),
    };
    let named = Wishes {
        account: of_root,
        service_name: Some("shop".to_owned()),
        binary: "/opt/my apps/stead".into(),
        systemd_runs: false,
        ..wishes(Init::Systemd)
    };
    check("systemd_named_and_offline", &startup(&named));
}

#[test]
fn others_get_a_line_for_root_or_a_unit_of_their_own() {
    let user = Wishes { root: false, ..wishes(Init::Systemd) };
    check("systemd_as_root", &startup(&user));
    check("systemd_rootless", &startup(&Wishes { rootless: true, ..user.clone() }));
    let undo = Wishes { verb: "unstartup", named_init: true, service_name: Some("x".to_owned()), ..user };
    check("systemd_undo_as_root", &unstartup(&undo));
}

#[test]
fn what_was_set_up_is_undone() {
    check("systemd_undo", &unstartup(&wishes(Init::Systemd)));
    check("systemd_undo_rootless", &unstartup(&Wishes { rootless: true, ..wishes(Init::Systemd) }));
    for (name, init) in
        [("openrc", Init::OpenRc), ("runit", Init::Runit), ("sysv", Init::SysV), ("none", Init::None)]
    {
        check(&format!("undo_{name}"), &unstartup(&wishes(init)));
    }
}

#[test]
fn other_init_systems_are_explained() {
    for (name, init) in [
        ("openrc", Init::OpenRc),
        ("runit", Init::Runit),
        ("sysv", Init::SysV),
        ("launchd", Init::Launchd),
        ("none", Init::None),
        ("unknown", Init::Unknown),
    ] {
        check(name, &startup(&wishes(init)));
    }
}

/// Every line of a unit that says something is `Key=value` in a section, each key where systemd knows it.
#[test]
fn units_are_well_formed() {
    for wishes in [wishes(Init::Systemd), Wishes { rootless: true, ..wishes(Init::Systemd) }] {
        let text = super::unit::text(&wishes);
        let mut section = "";
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with('[') {
                section = line;
                continue;
            }
            let key = line.split_once('=').expect(line).0;
            let known: &[&str] = match section {
                "[Unit]" => &["Description", "Wants", "After", "RequiresMountsFor", "StartLimitIntervalSec"],
                "[Service]" => &[
                    "Type",
                    "NotifyAccess",
                    "User",
                    "Environment",
                    "ExecStart",
                    "ExecReload",
                    "Restart",
                    "RestartPreventExitStatus",
                    "RestartSec",
                    "WatchdogSec",
                    "KillMode",
                    "TimeoutStopSec",
                    "LimitNOFILE",
                    "Delegate",
                    "OOMPolicy",
                ],
                "[Install]" => &["WantedBy"],
                _ => &[],
            };
            assert!(known.contains(&key), "{line} in {section}");
        }
    }
}

/// Where systemd's own checker is, it has nothing to say.
#[test]
fn systemd_accepts_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let own =
        Account { name: "root".to_owned(), runtime: "/run/stead".into(), ..wishes(Init::Systemd).account };
    let wishes = Wishes { binary: "/bin/true".into(), account: own, ..wishes(Init::Systemd) };
    for (name, wishes) in [("stead-shop", wishes.clone()), ("stead", Wishes { rootless: true, ..wishes })] {
        let path = folder.path().join(format!("{name}.service"));
        std::fs::write(&path, super::unit::text(&wishes)).unwrap();
        let mut verify = Command::new("systemd-analyze");
        verify.arg("verify").args(wishes.rootless.then_some("--user")).arg("--man=no").arg(&path);
        verify.env("XDG_RUNTIME_DIR", folder.path());
        let Ok(output) = command::run(&mut verify, command::LONG) else { return };
        // Units of the system that it looks at besides may have their own faults.
        let said = String::from_utf8_lossy(&output.stderr);
        let about: Vec<&str> =
            said.lines().filter(|line| line.contains(&format!("{name}.service"))).collect();
        assert!(about.is_empty(), "{said}");
    }
}

fn change(unit: Option<&str>, first: &str, then: &str) -> Change {
    let shell = |line: &str| vec![["sh", "-c", line].map(str::to_owned).to_vec()];
    Change {
        path: "/etc/systemd/system/stead-shop.service".into(),
        unit: unit.map(str::to_owned),
        first: shell(first),
        then: shell(then),
        words: vec!["done".to_owned()],
    }
}

#[track_caller]
fn carried_out(change: &Change, root: &Path) -> String {
    let printed = Printed::default();
    let mut output = printed.output(false);
    let result = perform::perform(change, root, &mut output);
    let end = result.map_or_else(|report| report.to_string(), |code| format!("{code:?}\n"));
    (printed.text() + &end).replace(&root.display().to_string(), "[root]")
}

#[test]
fn a_unit_is_written_shown_and_removed() {
    let root = tempfile::tempdir().unwrap();
    let unit = format!("{}\n[Unit]\n", super::unit::MARK);
    let write = change(Some(&unit), "exit 9", "exit 0");
    let path = root.path().join("etc/systemd/system/stead-shop.service");
    insta::assert_snapshot!("perform_write", carried_out(&write, root.path()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), unit);
    // Again is no mistake.
    carried_out(&write, root.path());
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left there");
    insta::assert_snapshot!("perform_remove", carried_out(&change(None, "exit 0", "exit 0"), root.path()));
    assert!(!path.exists());
    insta::assert_snapshot!("perform_nothing", carried_out(&change(None, "exit 9", "exit 9"), root.path()));
}

#[test]
fn what_fails_is_told() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("etc/systemd/system/stead-shop.service");
    let refused = change(Some("x"), "exit 0", "echo 'Failed to connect to bus' >&2; exit 1");
    insta::assert_snapshot!("perform_refused", carried_out(&refused, root.path()));
    std::fs::write(&path, "[Unit]\nDescription=mine\n").unwrap();
    insta::assert_snapshot!("perform_not_ours", carried_out(&refused, root.path()));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    insta::assert_snapshot!("perform_no_file", carried_out(&refused, root.path()));
}
