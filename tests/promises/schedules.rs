//! "What has to be done every night is done every night: once, however many copies run, and whatever dies meanwhile."

use std::path::Path;
use std::time::Duration;

use crate::support::background::Background;
use crate::support::processes::{kill, living};
use crate::support::{beside, eventually, soon};

const LIMIT: Duration = Duration::from_secs(30);

/// Three copies of a program, and schedules.
fn user(schedules: &str) -> Background {
    let user = Background::new();
    write(&user, schedules);
    user
}

fn write(user: &Background, schedules: &str) {
    user.write(
        "hears.js",
        "process.on('message', (message) => console.log(JSON.stringify(message))); setInterval(() => {}, 1e6);",
    );
    let app = "[app.shop]\ncommand = \"node hears.js\"\ninstances = 3\nassume_ready_after = \"200ms\"\nkill_after = \"2s\"\n";
    user.write("stead.toml", &(app.to_owned() + schedules));
}

fn schedule(name: &str, lines: &str) -> String {
    format!("[app.shop.schedule.{name}]\n{lines}\n")
}

/// The lines of a file that runs have written.
fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[track_caller]
fn wait_for_lines(path: &Path, count: usize) -> Vec<String> {
    eventually(&format!("{count} lines are in {}", path.display()), LIMIT, || {
        Some(lines(path)).filter(|lines| lines.len() >= count)
    })
}

#[test]
fn each_due_time_is_run_once_for_all_copies_under_every_daemon() {
    let _turn = beside();
    let every_second = "cron = \"* * * * * *\"\ncommand = \"echo $STEAD_DUE >> runs\"";
    let user = user(&schedule("tick", every_second));
    user.done(&["start"]);
    let runs = user.path().join("runs");
    wait_for_lines(&runs, 3);
    kill(user.complete().daemon_pid());
    let then = wait_for_lines(&runs, 3).len();
    wait_for_lines(&runs, then + 3);
    user.done(&["upgrade", "--binary", env!("CARGO_BIN_EXE_stead")]);
    user.done(&["reload", "shop"]);
    let then = wait_for_lines(&runs, 3).len();
    wait_for_lines(&runs, then + 2);
    user.done(&["stop", "shop"]);
    let all = lines(&runs);
    let mut once = all.clone();
    once.dedup();
    assert_eq!(all, once, "no second has two runs");
    assert!(all.is_sorted(), "{all:?}");
    let shown = user.done(&["show", "shop"]).stdout;
    assert!(shown.contains("tick  * * * * * *: echo"), "{shown}");
    assert!(shown.contains("when the app is started"), "{shown}");
}

#[test]
fn a_run_outlives_the_daemon_and_is_not_begun_twice() {
    let _turn = beside();
    let long =
        "cron = \"* * * * * *\"\ncommand = \"echo $$ >> runs; read line < gate; echo it says $line; exit 7\"";
    let user = user(&schedule("long", long));
    let gate = user.path().join("gate");
    let made = std::process::Command::new("mkfifo").arg(&gate).status();
    assert!(made.is_ok_and(|status| status.success()));
    user.done(&["start"]);
    let runs = user.path().join("runs");
    let pid: u32 = wait_for_lines(&runs, 1)[0].parse().expect("a process");
    soon("it is told that the next one is skipped", || user.logs("shop").contains("`long` is skipped"));
    for starts in 2..4 {
        kill(user.complete().daemon_pid());
        user.wait_status("the next daemon is there", |now| now.daemon_starts() >= starts);
        assert!(living(pid).is_some(), "it goes on");
    }
    user.done(&["upgrade", "--binary", env!("CARGO_BIN_EXE_stead")]);
    assert!(living(pid).is_some(), "it goes on");
    assert_eq!(lines(&runs).len(), 1, "and is the only one");
    std::fs::write(&gate, "hello\n").expect("it reads");
    soon("its end and what it printed are told", || {
        let log = user.logs("shop");
        log.contains("it says hello") && log.contains("`long` failed: exit code 7: it says hello")
    });
    // The next one is asked to end with the app.
    let pid: u32 = wait_for_lines(&runs, 2)[1].parse().expect("a process");
    user.done(&["stop", "shop"]);
    soon("it has ended", || living(pid).is_none());
}

#[test]
fn what_was_missed_is_made_up_for_once_if_that_is_wanted() {
    let _turn = beside();
    let hourly = |name: &str, more: &str| {
        let command = format!("command = \"echo $STEAD_SCHEDULE >> {name}\"");
        schedule(name, &format!("cron = \"@hourly\"\ntime_zone = \"UTC\"\n{command}\n{more}"))
    };
    let user = user(
        &(hourly("made", "catch_up = \"one\"") + &hourly("left", "") + &hourly("new", "catch_up = \"one\"")),
    );
    let kept = user.home().join("schedules/shop");
    std::fs::create_dir_all(&kept).expect("there is room");
    // Two of them were there long ago.
    for name in ["made", "left"] {
        let record = "{\"rule\": \"@hourly UTC\", \"until\": 1000000000, \"last\": null}";
        std::fs::write(kept.join(format!("{name}.json")), record).expect("there is room");
    }
    user.done(&["start"]);
    wait_for_lines(&user.path().join("made"), 1);
    soon("it is told", || user.logs("shop").contains("schedule `left` was missed at"));
    user.done(&["restart", "shop"]);
    user.done(&["kill"]);
    user.done(&["start"]);
    user.complete();
    // By hand, and so after everything that the start would have begun.
    user.done(&["schedule", "run", "shop", "left"]);
    assert_eq!(wait_for_lines(&user.path().join("left"), 1), ["left"]);
    assert_eq!(lines(&user.path().join("made")), ["made"]);
    assert!(lines(&user.path().join("new")).is_empty(), "it was never due");
    let refused = user.verb(&["schedule", "run", "shop", "never"]);
    assert!(refused.stderr.contains("app `shop` has no schedule `never`"), "{refused:?}");
    assert!(refused.code == Some(6) && refused.stderr.contains("`left`"), "{refused:?}");
}

#[test]
fn a_message_goes_to_one_of_the_workers() {
    let _turn = beside();
    let user = user(&schedule("news", "cron = \"0 0 1 1 *\"\nmessage = { topic = 1 }"));
    user.done(&["start"]);
    user.complete();
    let got = |times: usize| {
        let text = "{\"data\":{\"topic\":1},\"stead\":{\"from\":\"schedule\",\"topic\":\"news\"}}";
        soon("it has come", || user.logs("shop").matches(text).count() == times);
    };
    user.done(&["schedule", "run", "shop", "news"]);
    got(1);
    user.done(&["schedule", "run", "shop", "news"]);
    got(2);
    assert!(user.done(&["show", "shop"]).stdout.contains("succeeded"));
}

#[test]
fn a_message_waits_for_a_worker_that_listens_in_any_language() {
    let _turn = beside();
    let user = Background::new();
    let listener = "\
import http.client, os, socket, sys, time
while not os.path.exists('gate'): time.sleep(0.02)
class Stead(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ['STEAD_SOCKET'])
stead = Stead('stead')
stead.request('GET', '/v1/messages', headers={'Stead-Worker': os.environ['STEAD_WORKER']})
for line in stead.getresponse():
    if line.startswith(b'data: '): print('heard', line[6:].decode().strip(), flush=True)
";
    user.write("hears.py", listener);
    let app = "[app.shop]\ncommand = \"python3 hears.py\"\ninstances = 2\nassume_ready_after = \"100ms\"\n";
    user.write("stead.toml", &(app.to_owned() + &schedule("news", "cron = \"@yearly\"\nmessage = 1")));
    user.done(&["start"]);
    user.done(&["schedule", "run", "shop", "news"]);
    let listed = || user.done(&["schedule", "list"]).stdout;
    soon("it is told that nobody listens", || {
        listed().contains("news of shop waits: no ready worker listens")
    });
    std::fs::write(user.path().join("gate"), "").expect("there is room");
    let count = || user.logs("shop").matches("heard").count();
    soon("one has heard it", || count() == 1);
    assert!(listed().contains("succeeded"), "{}", listed());
    assert!(user.logs("shop").contains("\"from\":\"schedule\",\"topic\":\"news\""), "{}", user.logs("shop"));
    assert_eq!(count(), 1, "and only one");
}

#[test]
fn a_task_of_a_schedule_is_done_by_its_pool_and_waits_for_it() {
    let _turn = beside();
    let user = Background::new();
    user.write("server.js", "setInterval(() => {}, 1e6)");
    user.write("sum.js", "process.on('message', (task) => { console.log('has', task); process.send(task) })");
    let apps = "[app.shop]\ncommand = \"node server.js\"\nassume_ready_after = \"100ms\"\n\
                [pool.sum]\ncommand = \"node sum.js\"\nsize = 1\n\
                [pool.sum.schedule.own]\ncron = \"@yearly\"\ntask = { own = true }\n";
    let other = "cron = \"@yearly\"\ncatch_up = \"one\"\npool = \"sum\"\ntask = \"from the shop\"";
    user.write("stead.toml", &(apps.to_owned() + &schedule("other", other)));
    user.done(&["start"]);
    user.done(&["schedule", "run", "sum", "own"]);
    soon("it is done", || user.logs("sum").contains("schedule `own` is done"));
    assert!(user.logs("sum").contains("has { own: true }"), "{}", user.logs("sum"));
    user.done(&["stop", "sum"]);
    user.done(&["schedule", "run", "shop", "other"]);
    let listed = || user.done(&["schedule", "list", "shop"]).stdout;
    soon("it is told that the pool is stopped", || listed().contains("waits: pool `sum` is stopped"));
    user.done(&["start", "sum"]);
    soon("it is done", || user.logs("shop").contains("schedule `other` is done"));
    assert_eq!(user.logs("sum").matches("has from the shop").count(), 1, "once");
    assert!(listed().contains("succeeded") && !listed().contains("waits"), "{}", listed());
}

#[test]
fn a_changed_file_counts_from_the_next_reload_on() {
    let _turn = beside();
    let user = user(&schedule("old", "cron = \"* * * * * *\"\ncommand = \"echo old >> runs\""));
    user.done(&["start"]);
    let runs = user.path().join("runs");
    wait_for_lines(&runs, 1);
    write(
        &user,
        &(schedule("new", "cron = \"* * * * * *\"\ncommand = \"echo new >> runs\"")
            + &schedule("slow", "cron = \"* * * * * *\"\ncommand = \"sleep 100\"\ntimeout = \"300ms\"")),
    );
    user.done(&["reload", "shop"]);
    soon("the new one runs", || lines(&runs).iter().any(|line| line == "new"));
    let after = lines(&runs).into_iter().skip_while(|line| line != "new");
    assert!(after.collect::<Vec<_>>().iter().all(|line| line == "new"));
    soon("the old one is new if it comes back", || !user.home().join("schedules/shop/old.json").exists());
    soon("what takes too long is ended", || {
        user.logs("shop").contains("`slow` failed: it took longer than its `timeout`")
    });
    write(&user, &schedule("new", "cron = \"every day\"\ncommand = \"true\""));
    let refused = user.verb(&["reload", "shop"]);
    assert!(refused.stderr.contains("invalid value for `cron`"), "{refused:?}");
    assert!(user.complete().names().len() == 1, "the old one goes on");
}
