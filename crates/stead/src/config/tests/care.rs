//! The keys about an app's care, confinement and logs; and that settings survive being written down.

use super::*;
use crate::config::{
    AppSettings, Dependency, DependencyCondition, GroupStrategy, HealthCheck, LogPlace, ResourceName,
};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

const FULL: &str = r#"
    [app.shop]
    command = "server.js"
    namespace = "shops"
    autostart = false
    stop_exit_codes = [0, 64]
    depends_on = { db = "healthy", migration = "completed" }
    stop_signal = "int"
    recycle_memory = "512MiB"
    recycle_age = "1d"
    recycle_requests = 100_000
    slow_start = "10s"
    watch = ["src", "/etc/shop.conf"]
    watch_ignore = "*.tmp"
    watch_delay = "1s"
    cron_restart = "0 3 * * *"
    umask = "027"
    limits = { nofile = 65536, core = 0, memlock = "unlimited", stack = "8MiB" }
    no_new_privileges = true
    memory_max = "1GiB"
    cpu_max = 1.5
    tasks_max = 100
    before_start = "npm run migrate"
    after_ready = "./announce"
    health = { http = "/health" }
    health_failures_max = 1
    logs = "log/shop"
    log_format = "json"
    log_rotate_bytes = "1MB"
    log_compress = false
    [app.db]
    command = "server.js"
    depends_on = ["migration"]
    watch = true
    health = { command = "true" }
    logs = "off"
    [app.migration]
    command = "server.js"
    health = "watchdog"
    [group.all]
    apps = ["db", "shop"]
    strategy = "rest-for-one"
"#;

fn full() -> (Folder, Settings) {
    let folder = folder();
    folder.file("server.js", "");
    let settings = load_file(&folder, FULL, "").unwrap();
    (folder, settings)
}

#[test]
fn keys_about_care_are_read() {
    let (folder, settings) = full();
    let [shop, db, migration] = settings.apps.as_slice() else { panic!("{settings:?}") };
    let waits = |app: &str, condition| Dependency { app: app.to_owned(), condition };
    assert_eq!((shop.namespace.as_str(), shop.autostart, db.autostart), ("shops", false, true));
    assert_eq!((shop.stop_exit_codes.as_slice(), shop.stop.stop_signal), ([0, 64].as_slice(), 2));
    assert_eq!(
        shop.depends_on,
        [waits("db", DependencyCondition::Healthy), waits("migration", DependencyCondition::Completed)]
    );
    assert_eq!(db.depends_on, [waits("migration", DependencyCondition::Ready)]);
    assert_eq!(shop.recycle.memory_bytes, Some(512 << 20));
    assert_eq!(shop.recycle.age, Some(Duration::from_secs(86_400)));
    assert_eq!((shop.recycle.requests, db.recycle.requests), (Some(100_000), None));
    assert_eq!(shop.slow_start, Some(Duration::from_secs(10)));
    let watch = shop.watch.as_ref().unwrap();
    assert_eq!(watch.paths, [folder.path().join("src"), "/etc/shop.conf".into()]);
    assert_eq!(
        (watch.ignore.as_slice(), watch.delay),
        (["*.tmp".to_owned()].as_slice(), Duration::from_secs(1))
    );
    assert_eq!(db.watch.as_ref().unwrap().paths, [folder.path()]);
    assert_eq!(migration.watch, None);
    assert_eq!(shop.cron_restart.as_deref(), Some("0 3 * * *"));
    assert_eq!(
        (&shop.health.check, &db.health.check, &migration.health.check),
        (
            &Some(HealthCheck::Http { path: "/health".to_owned() }),
            &Some(HealthCheck::Command("true".to_owned())),
            &Some(HealthCheck::Watchdog)
        )
    );
    assert_eq!(shop.hooks.before_start.as_deref(), Some("npm run migrate"));
    let group = &settings.groups[0];
    assert_eq!((group.name.as_str(), group.strategy), ("all", GroupStrategy::RestForOne));
    assert_eq!(group.apps, ["db", "shop"]);
}

#[test]
fn keys_about_confinement_and_logs_are_read() {
    let (folder, settings) = full();
    let shop = &settings.apps[0];
    assert_eq!((shop.identity.umask, shop.identity.no_new_privileges), (Some(0o27), true));
    assert_eq!(
        shop.identity.limits,
        [
            (ResourceName::Nofile, Some(65_536)),
            (ResourceName::Core, Some(0)),
            (ResourceName::Memlock, None),
            (ResourceName::Stack, Some(8 << 20)),
        ]
    );
    assert_eq!((shop.cgroup.memory_bytes_max, shop.cgroup.tasks_max), (Some(1 << 30), Some(100)));
    assert_eq!(shop.cgroup.cpu_max, Some(1.5));
    assert_eq!(shop.logs.place, LogPlace::Directory(folder.path().join("log/shop")));
    assert_eq!((shop.logs.json, shop.logs.rotate_bytes, shop.logs.compress), (true, 1_000_000, false));
    assert_eq!(
        (&settings.apps[1].logs.place, &settings.apps[2].logs.place),
        (&LogPlace::Off, &LogPlace::Auto)
    );
}

#[test]
fn settings_survive_being_written_down() {
    let (_folder, mut settings) = full();
    let odd = OsStr::from_bytes(b"a\xff").to_owned();
    let shop = &mut settings.apps[0];
    shop.environment.insert(odd.clone(), odd.clone());
    shop.program.arguments.push(odd.clone());
    shop.directory = shop.directory.join(&odd);
    shop.ports.insert(9000, crate::config::Mode::Direct);
    shop.listen =
        vec!["unix:/run/a".parse().unwrap(), "[::1]:80".parse().unwrap(), "localhost:1".parse().unwrap()];
    let text = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
    let app = serde_json::to_vec(&settings.apps[1]).unwrap();
    assert_eq!(serde_json::from_slice::<AppSettings>(&app).unwrap(), settings.apps[1]);
}

#[test]
fn profiles_are_added_when_they_are_asked_for() {
    let folder = folder();
    folder.file("server.js", "");
    let text = "[app.shop]\ncommand = \"server.js\"\nenv = { A = \"1\", B = \"1\" }\nenv_production = { B = \"2\" }\n\
                [app.shop.env_test]\nB = 3\n[app.blog]\ncommand = \"server.js\"\n";
    let variables = |line: &str| {
        let settings = load_file(&folder, text, line).unwrap();
        let value = |name: &str| settings.apps[0].environment[OsStr::new(name)].to_str().unwrap().to_owned();
        (value("A"), value("B"))
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(variables(""), pair("1", "1"));
    assert_eq!(variables("--env production"), pair("1", "2"));
    assert_eq!(variables("--env test"), pair("1", "3"));
    assert_eq!(variables("--env production --env B=4"), pair("1", "4"));
}

#[test]
fn only_the_chosen_apps_of_a_file_are_taken() {
    let folder = folder();
    folder.file("server.js", "");
    let app = |name: &str| format!("[app.{name}]\ncommand = \"server.js\"\n");
    let groups = "[group.x]\napps = [\"a\", \"b\"]\n[group.y]\napps = [\"c\"]\n";
    let text = [app("a"), app("b"), app("c"), groups.to_owned()].concat();
    let settings = load_file(&folder, &text, "--only a,b --env X=1").unwrap();
    let names: Vec<&str> = settings.apps.iter().map(|app| app.name.as_str()).collect();
    assert_eq!((names.as_slice(), settings.groups.len()), (["a", "b"].as_slice(), 1));
    let one = load_file(&folder, &text, "--only b -i 3").unwrap();
    assert_eq!((one.apps[0].name.as_str(), one.apps[0].instances), ("b", 3));
    assert_eq!(one.groups[0].apps, ["b"]);
}
