//! Every error of the file and the options, as a person reads it.

use super::*;
use std::fmt::Write;

/// Each case: what it is about, the file (nothing: none), and the options.
const CASES: [(&str, Option<&str>, &str); 74] = [
    ("nothing to run", None, ""),
    ("a file that is not there", None, "-c staed.toml"),
    ("a file that is not TOML", Some("[app.shop]\ncommand = node server.js\n"), ""),
    ("a table that is not closed", Some("[app.shop\n"), ""),
    ("a key twice", Some("[app.shop]\ncommand = \"a\"\ncommand = \"b\"\n"), ""),
    ("no app", Some("lanes = 2\n"), ""),
    ("an empty file", Some(""), ""),
    ("an unknown table", Some("[apps.shop]\ncommand = \"a\"\n"), ""),
    ("an app without a table", Some("app = \"shop\"\n"), ""),
    ("an app that is a value", Some("[app]\nshop = \"node server.js\"\n"), ""),
    ("a bad name", Some("[app.\"my shop\"]\ncommand = \"a\"\n"), ""),
    ("no command", Some("[app.shop]\ninstances = 2\n"), ""),
    ("an unknown key", Some("[app.shop]\ncommand = \"node server.js\"\ninstnaces = 4\n"), ""),
    ("an unknown key like no other", Some("[app.shop]\ncommand = \"a\"\ncolour = \"red\"\n"), ""),
    ("a duration without unit", Some("[app.shop]\ncommand = \"a\"\ngrace = 30\n"), ""),
    ("a duration with a wrong unit", Some("[app.shop]\ncommand = \"a\"\ngrace = \"30 secs\"\n"), ""),
    ("a wait of nothing", Some("[app.shop]\ncommand = \"a\"\nready_timeout = \"0s\"\n"), ""),
    ("a size without unit", Some("[app.shop]\ncommand = \"a\"\nbody_bytes_max = 1000\n"), ""),
    ("a size with a wrong unit", Some("[app.shop]\ncommand = \"a\"\nbody_bytes_max = \"1 Mio\"\n"), ""),
    ("a wrong choice", Some("[app.shop]\ncommand = \"a\"\nbalance = \"least_loaded\"\n"), ""),
    ("a number that is too small", Some("[app.shop]\ncommand = \"a\"\nuntaken_max = 0\n"), ""),
    ("a wrong kind", Some("[app.shop]\ncommand = \"a\"\nshell = \"yes\"\n"), ""),
    ("too many instances", Some("[app.shop]\ncommand = \"a\"\ninstances = 4000\n"), ""),
    (
        "an address that is none",
        Some("[app.shop]\ncommand = \"a\"\nlisten = [\"8080\", \"localhost\"]\n"),
        "",
    ),
    ("a port that is none", Some("[app.shop]\ncommand = \"a\"\nports = { http = \"direct\" }\n"), ""),
    ("a wrong ready", Some("[app.shop]\ncommand = \"a\"\nready = \"http\"\n"), ""),
    ("a wrong key in ready", Some("[app.shop]\ncommand = \"a\"\nready = { path = \"/up\" }\n"), ""),
    ("a relative path in ready", Some("[app.shop]\ncommand = \"a\"\nready = { http = \"up\" }\n"), ""),
    ("a variable without a name", Some("[app.shop]\ncommand = \"a\"\nenv = { \"A=B\" = \"x\" }\n"), ""),
    (
        "an option for one app and a file with two",
        Some("[app.a]\ncommand = \"a\"\n[app.b]\ncommand = \"b\"\n"),
        "-i 2",
    ),
    ("a namespace that is none", Some("[app.shop]\ncommand = \"a\"\nnamespace = \"my shops\"\n"), ""),
    ("an exit code that is none", Some("[app.shop]\ncommand = \"a\"\nstop_exit_codes = [0, 256]\n"), ""),
    ("a signal that is none", Some("[app.shop]\ncommand = \"a\"\nstop_signal = \"SIGTREM\"\n"), ""),
    ("a signal that nothing answers", Some("[app.shop]\ncommand = \"a\"\nstop_signal = \"SIGKILL\"\n"), ""),
    ("a wrong limit or off", Some("[app.shop]\ncommand = \"a\"\nrecycle_memory = \"of\"\n"), ""),
    ("a limit of nothing", Some("[app.shop]\ncommand = \"a\"\nrecycle_requests = 0\n"), ""),
    ("a wrong watch", Some("[app.shop]\ncommand = \"a\"\nwatch = 1\n"), ""),
    ("a key of pools", Some("[app.r]\ncommand = \"a\"\nsize = 3\n"), ""),
    ("another key of pools", Some("[app.r]\ncommand = \"a\"\nconcurrency = 3\n"), ""),
    ("a size that is not whole", Some("[pool.r]\ncommand = \"a\"\nsize = 1.5\n"), ""),
    ("a day that never comes", Some("[app.shop]\ncommand = \"a\"\ncron_restart = \"0 0 31 2 *\"\n"), ""),
    ("a cron expression that is none", Some("[app.shop]\ncommand = \"a\"\ncron_restart = \"0 3 * *\"\n"), ""),
    ("a user that is not there", Some("[app.shop]\ncommand = \"a\"\nuid = \"no-such-user\"\n"), ""),
    ("a group that is not there", Some("[app.shop]\ncommand = \"a\"\ngid = \"no-such-group\"\n"), ""),
    ("a umask as a number", Some("[app.shop]\ncommand = \"a\"\numask = 27\n"), ""),
    ("a umask that is none", Some("[app.shop]\ncommand = \"a\"\numask = \"088\"\n"), ""),
    ("a resource that is none", Some("[app.shop]\ncommand = \"a\"\nlimits = { nofiles = 1 }\n"), ""),
    ("a limit that is none", Some("[app.shop]\ncommand = \"a\"\nlimits = { nofile = \"many\" }\n"), ""),
    ("half a core too few", Some("[app.shop]\ncommand = \"a\"\ncpu_max = -0.5\n"), ""),
    ("an empty hook", Some("[app.shop]\ncommand = \"a\"\nbefore_start = \" \"\n"), ""),
    ("a wrong health", Some("[app.shop]\ncommand = \"a\"\nhealth = \"tpc\"\n"), ""),
    (
        "two keys in health",
        Some("[app.shop]\ncommand = \"a\"\nhealth = { http = \"/\", command = \"x\" }\n"),
        "",
    ),
    ("a wrong format of logs", Some("[app.shop]\ncommand = \"a\"\nlog_format = \"xml\"\n"), ""),
    ("a dependency that is not there", Some("[app.shop]\ncommand = \"a\"\ndepends_on = [\"shp\"]\n"), ""),
    ("a condition that is none", Some("[app.shop]\ncommand = \"a\"\ndepends_on = { shop = \"redy\" }\n"), ""),
    (
        "an app that waits for itself",
        Some(
            "[app.shop]\ncommand = \"a\"\ndepends_on = [\"b\"]\n[app.b]\ncommand = \"b\"\ndepends_on = [\"shop\"]\n",
        ),
        "",
    ),
    (
        "a schedule without a time",
        Some("[app.shop]\ncommand = \"a\"\n[app.shop.schedule.s]\ncommand = \"b\"\n"),
        "",
    ),
    (
        "a schedule without work",
        Some("[app.shop]\ncommand = \"a\"\nschedule.s = { cron = \"@daily\" }\n"),
        "",
    ),
    (
        "a schedule with too much to do",
        Some(
            "[app.shop]\ncommand = \"a\"\nschedule.s = { cron = \"@daily\", message = 1, task = 2, pool = \"r\" }\n",
        ),
        "",
    ),
    (
        "a schedule with a task for nobody",
        Some("[app.shop]\ncommand = \"a\"\nschedule.s = { cron = \"@daily\", task = 2 }\n"),
        "",
    ),
    (
        "a schedule with a pool and no task",
        Some("[app.shop]\ncommand = \"a\"\nschedule.s = { cron = \"@daily\", pool = \"r\" }\n"),
        "",
    ),
    (
        "a schedule with a wrong time",
        Some("[app.shop]\ncommand = \"a\"\n[app.shop.schedule.s]\ncron = \"0 25 * * *\"\ncommand = \"b\"\n"),
        "",
    ),
    (
        "a time zone that is none",
        Some(
            "[app.shop]\ncommand = \"a\"\n[app.shop.schedule.s]\ncron = \"@daily\"\ntime_zone = \"Berlin\"\ncommand = \"b\"\n",
        ),
        "",
    ),
    (
        "an unknown key of a schedule",
        Some("[app.shop]\ncommand = \"a\"\n[app.shop.schedule.s]\ncron = \"@daily\"\ncomand = \"b\"\n"),
        "",
    ),
    ("a group without apps", Some("[app.shop]\ncommand = \"a\"\n[group.g]\n"), ""),
    ("a group of strangers", Some("[app.shop]\ncommand = \"a\"\n[group.g]\napps = [\"shopp\"]\n"), ""),
    (
        "an app in two groups",
        Some("[app.shop]\ncommand = \"a\"\n[group.g]\napps = [\"shop\"]\n[group.h]\napps = [\"shop\"]\n"),
        "",
    ),
    (
        "a wrong strategy",
        Some("[app.shop]\ncommand = \"a\"\n[group.g]\napps = [\"shop\"]\nstrategy = \"one_for_all\"\n"),
        "",
    ),
    (
        "a profile that no app has",
        Some("[app.shop]\ncommand = \"a\"\nenv_production = {}\n"),
        "--env prodution",
    ),
    ("a profile without a file", None, "server.js --env production"),
    ("an app of --only that is not there", Some("[app.shop]\ncommand = \"a\"\n"), "--only shpo"),
    ("an unknown setting", None, "server.js --set gracee=5s"),
    ("a wrong value of a setting", None, "server.js --set grace=5"),
    ("a bad name by option", None, "server.js --name 'my shop'"),
];

#[test]
fn errors_of_file_and_options_say_what_where_and_what_to_do() {
    let mut all = String::new();
    for (about, file, line) in CASES {
        let folder = folder();
        folder.file("server.js", "");
        folder.file("staed.toml.bak", "");
        folder.file("stead.tml", "");
        let result = match file {
            Some(text) => load_file(&folder, text, line),
            None => load(&folder, line),
        };
        let text = match result {
            Ok(settings) => panic!("{about}: {settings:?}"),
            Err(error) => report(&folder, &error),
        };
        write!(all, "## {about}\n{text}\n").unwrap();
    }
    insta::assert_snapshot!("errors", all);
}

#[test]
fn an_error_knows_its_line_and_column() {
    let folder = folder();
    let error = load_file(&folder, "[app.shop]\ncommand = \"ä\"\ngrace = \"ö\" \n", "").unwrap_err();
    let ConfigError::Invalid { line, column, .. } = error else { panic!("{error:?}") };
    assert_eq!((line, column), (3, 9));
}
