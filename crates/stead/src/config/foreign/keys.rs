//! Every key of PM2's configuration files, and what becomes of it. This table is all that knows.

use super::draft::Draft;
use super::values::Wrong;
use super::{take, take_care};
use serde_json::Value;

/// A key with its other names; each is also known in camel case.
pub(super) struct Key {
    /// PM2's main name first.
    pub(super) names: &'static [&'static str],
    pub(super) fate: Fate,
}

/// What becomes of a key.
pub(super) enum Fate {
    /// A setting of ours; the function says which, from the value and under the name that was written.
    Taken(fn(&Value, &str, &mut Draft) -> Result<(), Wrong>),
    /// Nothing, and nothing is lost: why.
    Needless(&'static str),
    /// Nothing, and something is lost: why, and what to do instead. `false` loses nothing.
    NotOffered(&'static str),
}

const fn taken(
    names: &'static [&'static str],
    take: fn(&Value, &str, &mut Draft) -> Result<(), Wrong>,
) -> Key {
    Key { names, fate: Fate::Taken(take) }
}

const fn needless(names: &'static [&'static str], reason: &'static str) -> Key {
    Key { names, fate: Fate::Needless(reason) }
}

const fn not_offered(names: &'static [&'static str], reason: &'static str) -> Key {
    Key { names, fate: Fate::NotOffered(reason) }
}

const NOTHING_INJECTED: &str =
    "nothing is loaded into programs to watch them; `stead monit` shows what the system knows";
const INTERNAL: &str = "PM2 writes it for itself";
const TIME_IS_THERE: &str = "each line of the log has its time, in one format (RFC 3339)";

/// In the order in which they are taken over, which is that of `stead.toml`.
pub(super) const KEYS: [Key; 61] = [
    // -- the program
    taken(&["name"], take::name),
    taken(&["name_prefix"], take::name_prefix),
    taken(&["script", "exec", "cmd", "command"], take::script),
    taken(&["args"], take::arguments),
    taken(&["exec_interpreter", "interpreter"], take::interpreter),
    taken(&["node_args", "interpreter_args"], take::interpreter_arguments),
    taken(&["source_map_support"], take::source_maps),
    needless(&["disable_source_map_support"], "source maps are used only where they are asked for"),
    taken(&["cwd"], take::directory),
    taken(&["env"], take::environment),
    taken(&["port"], take::port),
    not_offered(
        &["filter_env"],
        "workers get the whole environment that Stead was called with: call it with less (`env -i`), or with `--update-env`",
    ),
    taken(&["namespace"], take::namespace),
    not_offered(
        &["append_env_to_name"],
        "the name stays the same for each `--env`: give another one with `--name`",
    ),
    taken(&["autostart"], take::autostart),
    // -- how many, and how they are reached
    taken(&["instances"], take::instances),
    needless(&["exec_mode"], "each program can run many times behind one port, whatever it is"),
    not_offered(
        &["increment_var"],
        "all copies serve one port; what else they must not share can be told apart by STEAD_INSTANCE (0, 1, ..)",
    ),
    taken(&["instance_var"], take::instance_variable),
    // -- ready
    taken(&["wait_ready"], take::wait_ready),
    taken(&["listen_timeout"], take::listen_timeout),
    // -- restart
    taken(&["autorestart"], take::autorestart),
    taken(&["max_restarts"], take::max_restarts),
    taken(&["min_uptime"], take::min_uptime),
    taken(&["restart_delay"], take::restart_delay),
    taken(&["exp_backoff_restart_delay"], take::backoff),
    taken(&["stop_exit_codes"], take::stop_exit_codes),
    // -- stop
    taken(&["kill_timeout"], take::kill_timeout),
    needless(&["kill_retry_time"], "the kernel tells when a process has ended"),
    taken(&["treekill"], take_care::treekill),
    not_offered(
        &["shutdown_with_message"],
        "a Node.js program is asked to end by the event `disconnect` of `process`, when its requests are finished",
    ),
    needless(&["force"], "`--name` starts the same program once more"),
    // -- care
    taken(&["max_memory_restart"], take_care::memory),
    taken(&["watch"], take_care::watch),
    taken(&["ignore_watch"], take_care::watch_ignore),
    taken(&["watch_delay"], take_care::watch_delay),
    not_offered(
        &["watch_options"],
        "they are for PM2's watcher: `watch_ignore` and `watch_delay` do most of it",
    ),
    taken(&["cron_restart", "cron"], take_care::cron),
    taken(&["uid", "user"], take_care::user),
    taken(&["gid"], take_care::group),
    // -- logs
    taken(&["disable_logs"], take_care::disable_logs),
    taken(&["out_file", "out", "output", "out_log"], take_care::out_file),
    taken(&["error_file", "error", "err", "err_file", "err_log"], take_care::error_file),
    taken(&["log_file", "log"], take_care::log_file),
    taken(&["log_type"], take_care::log_type),
    needless(&["log_date_format"], TIME_IS_THERE),
    needless(&["time"], TIME_IS_THERE),
    needless(
        &["merge_logs", "combine_logs"],
        "the lines of all copies are in one place, each with the number of its copy",
    ),
    not_offered(&["pid_file", "pid"], "no such files are written: `stead pid NAME` prints the numbers"),
    // -- monitoring, git, and what is not for Linux
    needless(&["pmx", "automation"], NOTHING_INJECTED),
    needless(&["io"], NOTHING_INJECTED),
    needless(&["trace"], NOTHING_INJECTED),
    needless(&["disable_trace"], NOTHING_INJECTED),
    needless(&["v8"], NOTHING_INJECTED),
    needless(&["event_loop_inspector"], NOTHING_INJECTED),
    needless(&["deep_monitoring"], NOTHING_INJECTED),
    needless(&["vizion"], "git is not asked about the program"),
    not_offered(
        &["post_update"],
        "it belongs to `pm2 pull`: run these commands where the code is fetched, or as `before_start`",
    ),
    needless(&["windows_hide"], "there are no console windows on Linux"),
    needless(&["install_url", "username"], INTERNAL),
    needless(&["write", "execute_command"], INTERNAL),
];

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.names.iter().any(|known| *known == name || camel(known) == name))
}

/// `max_memory_restart` as `maxMemoryRestart`.
pub(super) fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut camel, word| {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
        camel
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys that PM2 documents or reads, with all their names.
    const DOCUMENTED: &str = "script exec cmd command name name_prefix namespace cwd args exec_interpreter interpreter \
        node_args interpreter_args exec_mode instances increment_var instance_var env filter_env append_env_to_name \
        port autorestart autostart stop_exit_codes max_restarts min_uptime restart_delay exp_backoff_restart_delay \
        max_memory_restart cron_restart cron kill_timeout kill_retry_time treekill shutdown_with_message wait_ready \
        listen_timeout watch ignore_watch watch_delay watch_options out_file out output out_log error_file error err \
        err_file err_log log_file log pid_file pid merge_logs combine_logs disable_logs log_type log_date_format time \
        uid user gid force source_map_support disable_source_map_support vizion pmx automation io trace disable_trace \
        v8 event_loop_inspector deep_monitoring post_update windowsHide install_url username write execute_command";

    #[test]
    fn every_key_of_pm2_is_in_the_table() {
        let missing: Vec<&str> = DOCUMENTED.split_whitespace().filter(|name| find(name).is_none()).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn no_name_means_two_keys() {
        let names: Vec<&str> = KEYS.iter().flat_map(|key| key.names).copied().collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name}");
        }
    }

    #[test]
    fn camel_case_is_the_same_key() {
        let check =
            |name: &str, expected: &str| assert_eq!(find(name).map(|key| key.names[0]), Some(expected));
        check("maxMemoryRestart", "max_memory_restart");
        check("execInterpreter", "exec_interpreter");
        check("nodeArgs", "node_args");
        check("errFile", "error_file");
        check("script", "script");
        assert!(find("Script").is_none());
    }
}
