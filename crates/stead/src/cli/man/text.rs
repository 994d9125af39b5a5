//! What manual pages say beyond the definitions of the command line: how verbs end, what they read, what belongs to what.

use crate::cli::ExitCode::{self, Address, Failure, NotRunning, Ok, Program, Reload, Usage};

/// Pages that belong together; each names the others.
const FAMILIES: [&[&str]; 11] = [
    &[
        "stead-run",
        "stead-start",
        "stead-startOrRestart",
        "stead-startOrReload",
        "stead-stop",
        "stead-config",
    ],
    &[
        "stead-stop",
        "stead-restart",
        "stead-reload",
        "stead-scale",
        "stead-delete",
        "stead-kill",
        "stead-start",
    ],
    &["stead-list", "stead-show", "stead-monit", "stead-logs", "stead-reset", "stead-doctor"],
    &["stead-logs", "stead-flush"],
    &["stead-list", "stead-pid", "stead-id", "stead-jlist", "stead-prettylist", "stead-ping"],
    &["stead-signal", "stead-send", "stead-shared", "stead-env", "stead-show"],
    &["stead-shards", "stead-scale", "stead-show"],
    &["stead-save", "stead-resurrect", "stead-startup", "stead-unstartup"],
    &["stead-upgrade", "stead-kill", "stead-ping", "stead-doctor"],
    &["stead-init", "stead-import", "stead-config", "stead-start"],
    &["stead-completions", "stead-man"],
];

/// Verbs that only read and write files, and never talk to an instance.
const PAPERS: [&str; 6] =
    ["stead-init", "stead-import", "stead-config", "stead-completions", "stead-man", "stead-map"];

fn is_paper(page: &str) -> bool {
    PAPERS.iter().any(|paper| page.starts_with(paper))
}

/// What `stead map` does with lines, and with a journal.
const MAP: &[&str] = &[
    "A task is a line of standard input: JSON, or text if the first line does not look like JSON. Its result is a line of \
     standard output, in the order of the tasks unless --unordered is said; empty lines are no tasks. A worker that dies \
     is replaced, and what it had goes to others; a task that two workers died of is set aside.",
    "With --resume, all that has ended is in the journal before it is in the output. The same command again goes on where \
     the last one was killed: give it the same input, and the output appended to (>>) or emptied (>).",
];

/// Paragraphs below the first sentence.
pub(super) fn more(page: &str) -> &'static [&'static str] {
    match page {
        "stead" => &[
            "A server program runs as several workers behind one address. When one of them crashes, hangs, is replaced or is \
             redeployed, another one answers in its stead.",
            "stead start runs programs in the background, where they outlive the terminal, a crash of Stead and its upgrade; stead \
             run runs them on this terminal, or as the first process of a container. What both need to know about a program \
             stands on the command line, or in stead.toml.",
            "Verbs that are about apps take names, numbers, namespaces, patterns between slashes, a file of apps, or all; shop.1 \
             is one worker of the app shop.",
        ],
        "stead-start" => &[
            "The workers run in an instance in the background, which is started if there is none. The command returns when all \
             workers are ready, or have not become so within 15 seconds. What runs already is not started twice: it is told.",
        ],
        "stead-run" => &[
            "SIGINT and SIGTERM end it in order, a second one at once. SIGUSR2 reloads all apps, SIGHUP reads the file again.",
        ],
        "stead-reload" => &[
            "A new worker has to be ready before the old one is asked to leave, so no request is lost. If new code does not start, \
             the old workers stay and the reload fails.",
        ],
        "stead-stop" => &[
            "Workers get nothing new and finish the requests they have, for as long as grace says. Then they are asked to end, and \
             killed if they do not. Without a name it ends the stead run that is the only one.",
        ],
        "stead-list" => &["A line is an app; stead show has its workers."],
        "stead-show" => &["Among it are the last exits of its workers, with what they printed last."],
        "stead-monit" => &[
            "Arrows choose an app, Tab gives the keys to workers and logs, / shows only lines with a text, ? lists the keys, q ends \
             it. It stays when the daemon is replaced or killed.",
        ],
        "stead-logs" => &[
            "The files are read, so it does not matter whether the app runs. Following goes on over rotation.",
        ],
        "stead-env" => &["Values that look like secrets are shown as asterisks unless they are asked for."],
        "stead-shards" => {
            &["When workers come or go, no key moves that need not. A replaced worker keeps its keys."]
        }
        "stead-upgrade" => &[
            "The new daemon starts beside the old one and takes over workers, listeners and connections; no worker is restarted and \
             no request fails. If it does not come up, the old one goes on.",
        ],
        "stead-startup" => &[
            "With systemd a unit is written, shown and enabled; for other init systems it is said what to do. What is started then is \
             what stead save has kept.",
        ],
        "stead-map" => MAP,
        "stead-doctor" => &["It ends with 1 if something does not work."],
        "stead-import" => &[
            "What cannot be taken over is named with the reason. stead start ecosystem.config.js starts such a file as it is.",
        ],
        "stead-restart" => {
            &["All workers of the app end before new ones start. stead reload does it without a pause."]
        }
        "stead-save" => &["stead startup has the saved apps started after a reboot."],
        "stead-init" => &[
            "The command is that of package.json, or a script that looks like a server. The keys that are changed most often \
             stand below it with their defaults and reasons. A file that is there is written over only with --force.",
        ],
        "stead-config-check" => &[
            "The file is read as stead start would read it, and the programs are looked for. A line for each app goes to standard \
             output. What is wrong is shown with its line and column.",
        ],
        "stead-config-schema" => &["It is made of what the program itself reads (draft 2020-12)."],
        "stead-completions" => &["The names of apps are those that run when TAB is pressed."],
        _ => &[],
    }
}

/// How a verb can end.
pub(super) fn codes(page: &str) -> &'static [ExitCode] {
    match page {
        "stead" | "stead-startOrRestart" | "stead-startOrReload" => &ExitCode::ALL,
        "stead-start" | "stead-run" | "stead-resurrect" => {
            &[Ok, Failure, Usage, Program, Address, NotRunning]
        }
        "stead-restart" => &[Ok, Failure, Usage, Program, NotRunning],
        "stead-reload" => &[Ok, Failure, Usage, Reload, NotRunning],
        "stead-config" | "stead-config-check" | "stead-map" => &[Ok, Failure, Usage, Program],
        "stead-startup" | "stead-unstartup" | "stead-doctor" => &[Ok, Failure, Usage],
        page if is_paper(page) => &[Ok, Failure, Usage],
        _ => &[Ok, Failure, Usage, NotRunning],
    }
}

/// Variables that are read.
pub(super) fn environment(page: &str) -> &'static [(&'static str, &'static str)] {
    const ALL: [(&str, &str); 5] = [
        (
            "STEAD_HOME",
            "Where saved apps, logs and sockets are kept; without it $XDG_STATE_HOME/stead, else ~/.local/state/stead. Who has \
             several has as many instances in the background.",
        ),
        (
            "STEAD_RUNTIME_DIR",
            "Where the sockets of running instances are; without it $STEAD_HOME/run, else /run/stead for root, else run in the \
             home of Stead.",
        ),
        ("NO_COLOR", "Not empty: no colours on the terminal either."),
        ("COLUMNS", "How wide tables may be where there is no terminal."),
        (
            "STEAD_APP, STEAD_INSTANCE, STEAD_INSTANCES",
            "Are given to workers: the app, the worker's number from 0, and how many there are.",
        ),
    ];
    match page {
        "stead" | "stead-start" | "stead-run" => &ALL,
        page if is_paper(page) => &[],
        _ => ALL.split_at(3).0,
    }
}

/// Files that are read and written.
pub(super) fn files(page: &str) -> &'static [(&'static str, &'static str)] {
    const CONFIGURATION: (&str, &str) =
        ("stead.toml", "The apps, in the current directory. stead config defaults explains every key.");
    const SAVED: (&str, &str) = ("$STEAD_HOME/apps.json", "The apps that stead save keeps.");
    const LOGS: (&str, &str) = ("$STEAD_HOME/logs/APP/", "What workers printed, rotated and bounded.");
    const DAEMON: (&str, &str) =
        ("$STEAD_HOME/daemon.log", "What the instance in the background says about itself.");
    const SOCKETS: (&str, &str) =
        ("$STEAD_RUNTIME_DIR/PID.sock", "The control socket of an instance; it speaks HTTP.");
    match page {
        "stead" => &[CONFIGURATION, SAVED, LOGS, DAEMON, SOCKETS],
        "stead-save" | "stead-resurrect" => &[SAVED],
        "stead-logs" | "stead-flush" => &[LOGS, DAEMON],
        "stead-start" | "stead-startOrRestart" | "stead-startOrReload" => &[CONFIGURATION, LOGS, DAEMON],
        "stead-run" | "stead-init" | "stead-config-check" => &[CONFIGURATION],
        _ => &[],
    }
}

/// Other pages worth reading.
pub(super) fn see_also(page: &str) -> Vec<&'static str> {
    if page == "stead" {
        return vec!["stead-start", "stead-run", "stead-list", "stead-init", "stead-config"];
    }
    // What belongs to a verb of a verb belongs to the verb.
    let family_of = if page.starts_with("stead-config") { "stead-config" } else { page };
    let mut pages = vec!["stead"];
    for other in FAMILIES.iter().filter(|family| family.contains(&family_of)).copied().flatten() {
        if *other != page && !pages.contains(other) {
            pages.push(other);
        }
    }
    pages
}
