//! Whether something starts the saved apps after a reboot, and starts this very program.

use super::finding::{Finding, Verdict};
use crate::cli::startup::surroundings::{self, Init};
use crate::cli::startup::{Account, default_name, unit_path};
use std::path::{Path, PathBuf};
use stead_control::Home;

/// What would start them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Boot {
    pub(super) init: Init,
    pub(super) unit: Option<Unit>,
    /// This program.
    pub(super) binary: PathBuf,
    pub(super) home: PathBuf,
}

/// A unit that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) path: PathBuf,
    pub(super) binary: PathBuf,
    pub(super) binary_exists: bool,
    pub(super) home: Option<PathBuf>,
    pub(super) enabled: bool,
}

pub(super) fn look(home: &Home) -> Boot {
    Boot {
        init: surroundings::look(Path::new("/")),
        unit: find(&Account::own(), home),
        binary: std::env::current_exe().unwrap_or_default(),
        home: home.path().to_owned(),
    }
}

/// The unit for this home: that of the usual name, or another that was written by `stead startup`.
fn find(account: &Account, home: &Home) -> Option<Unit> {
    let usual = [
        unit_path(&default_name(&account.name, false), None),
        unit_path(&default_name(&account.name, true), Some(&account.home)),
    ];
    let folders = usual.iter().filter_map(|path| path.parent());
    let named = folders
        .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "service"));
    let mut units: Vec<Unit> =
        usual.clone().into_iter().chain(named).filter_map(|path| read(&path)).collect();
    let is_ours = |unit: &Unit| unit.home.as_deref() == Some(home.path());
    match units.iter().position(is_ours) {
        Some(index) => Some(units.swap_remove(index)),
        // One for this user that starts something else is worth telling too.
        None => units.into_iter().find(|unit| usual.contains(&unit.path)),
    }
}

fn read(path: &Path) -> Option<Unit> {
    let text = std::fs::read_to_string(path).ok()?;
    let unit = parse(&text)?;
    let name = path.file_name()?;
    let folder = path.parent()?;
    let enabled = ["multi-user.target.wants", "default.target.wants"]
        .iter()
        .any(|wants| folder.join(wants).join(name).symlink_metadata().is_ok());
    Some(Unit { path: path.to_owned(), enabled, binary_exists: unit.binary.exists(), ..unit })
}

/// What a unit says; nothing when it does not start Stead in the background.
fn parse(text: &str) -> Option<Unit> {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let command = value("ExecStart=")?.strip_suffix(" background --resurrect")?;
    let plain = |text: &str| text.trim_matches('"').replace("%%", "%").replace("$$", "$");
    let home = value("Environment=\"STEAD_HOME=").map(|home| PathBuf::from(plain(home)));
    Some(Unit { binary: plain(command).into(), home, ..Unit::default() })
}

/// `wanted`: apps are kept; `runs`: there is a background instance.
pub(super) fn judge(boot: &Boot, wanted: bool, runs: bool) -> Finding {
    let finding = |verdict, text: String| Finding::new("startup", verdict, text);
    let Some(unit) = &boot.unit else { return missing(boot.init, wanted || runs) };
    let path = unit.path.display();
    if !unit.binary_exists {
        let text = format!("{path} starts {}, which is not there", unit.binary.display());
        return finding(Verdict::Failure, text).advice("stead startup");
    }
    if unit.home.as_deref() != Some(&boot.home) {
        let text = format!("{path} is for another home than {}", boot.home.display());
        return finding(Verdict::Warning, text).advice("stead startup");
    }
    if !unit.enabled {
        let name = unit.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return finding(Verdict::Warning, format!("{path} is there and not enabled"))
            .advice(format!("systemctl enable {name}, or `stead startup` again"));
    }
    if unit.binary != boot.binary {
        let text = format!("{path} starts {}, this is {}", unit.binary.display(), boot.binary.display());
        return finding(Verdict::Warning, text).advice("stead startup, with the program that is to run");
    }
    finding(Verdict::Ok, path.to_string())
}

fn missing(init: Init, needed: bool) -> Finding {
    let finding = |verdict, text: &str| Finding::new("startup", verdict, text);
    match init {
        Init::Systemd if needed => {
            finding(Verdict::Warning, "nothing starts the apps after a reboot").advice("stead startup")
        }
        Init::Systemd => finding(Verdict::Ok, "nothing to start after a reboot"),
        Init::None => finding(Verdict::Note, "nothing starts services here: this looks like a container")
            .advice("`stead run` as its first process; `stead startup` says more"),
        _ if needed => {
            finding(Verdict::Note, "whether something starts the apps after a reboot is not known")
                .advice("`stead startup` says what to set up")
        }
        _ => finding(Verdict::Ok, "nothing to start after a reboot"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn units_of_ours_are_understood() {
        let text = "[Service]\nEnvironment=\"STEAD_HOME=/srv/100%%\"\nExecStart=\"/opt/my apps/stead\" background --resurrect\n";
        let unit = parse(text).unwrap();
        assert_eq!(unit.binary, Path::new("/opt/my apps/stead"));
        assert_eq!(unit.home.as_deref(), Some(Path::new("/srv/100%")));
        assert_eq!(parse("[Service]\nExecStart=/usr/sbin/nginx\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn what_starts_at_boot_is_judged() {
        let unit = Unit {
            path: "/etc/systemd/system/stead-shop.service".into(),
            binary: "/usr/bin/stead".into(),
            binary_exists: true,
            home: Some("/h".into()),
            enabled: true,
        };
        let boot =
            |unit| Boot { init: Init::Systemd, unit, binary: "/usr/bin/stead".into(), home: "/h".into() };
        let of = |unit: Unit| judge(&boot(Some(unit)), true, true);
        check(&of(unit.clone()), Verdict::Ok, "stead-shop.service");
        check(&of(Unit { enabled: false, ..unit.clone() }), Verdict::Warning, "not enabled");
        check(&of(Unit { binary_exists: false, ..unit.clone() }), Verdict::Failure, "not there");
        check(
            &of(Unit { binary: "/old/stead".into(), ..unit.clone() }),
            Verdict::Warning,
            "starts /old/stead",
        );
        check(&of(Unit { home: None, ..unit }), Verdict::Warning, "another home");
        check(&judge(&boot(None), true, false), Verdict::Warning, "nothing starts the apps");
        check(&judge(&boot(None), false, false), Verdict::Ok, "nothing to start");
        let other = |init| Boot { init, ..boot(None) };
        check(&judge(&other(Init::None), true, true), Verdict::Note, "container");
        check(&judge(&other(Init::OpenRc), true, true), Verdict::Note, "not known");
        check(&judge(&other(Init::OpenRc), false, false), Verdict::Ok, "nothing to start");
    }
}
