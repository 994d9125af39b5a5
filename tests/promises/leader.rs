//! "One of my workers, and only one, does what must be done once. When it dies or is replaced another one knows within a second; and
//! never do two believe that they are the one."

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::support::processes::{children, kill};
use crate::support::{Stead, Talk, alone, beside, eventually, node, pause_between};

const PATIENCE: Duration = Duration::from_secs(20);
const BACK: Duration = Duration::from_secs(15);

/// A line of a worker about its role.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    acquires: bool,
    term: u64,
    pid: u32,
    at: u128,
    overlaps: bool,
}

struct Leaders(PathBuf);

impl Leaders {
    fn start(count: u32, release_ms: u32) -> (Stead, Talk, Leaders) {
        let plan = Stead::script(node("talker.js")).instances(count).env("RELEASE_MS", release_ms);
        let file = plan.directory().join("leaders");
        let (stead, talk) = Talk::start(plan.env("LEADERS", file.display()));
        (stead, talk, Leaders(file))
    }

    fn lines(&self) -> Vec<Line> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let read = |line: &str| {
            let mut words = line.split(' ');
            let acquires = words.next() == Some("acquire");
            let mut number = || words.next().and_then(|word| word.parse::<u128>().ok());
            let (term, pid, at) =
                (number().expect("a term"), number().expect("a pid"), number().expect("a time"));
            Line { acquires, term: term as u64, pid: pid as u32, at, overlaps: number() == Some(1) }
        };
        whole.lines().map(read).collect()
    }

    /// Waits until somebody leads in a later term.
    #[track_caller]
    fn next(&self, term: u64) -> Line {
        let next = || self.lines().into_iter().rfind(|line| line.acquires && line.term > term);
        eventually("somebody leads", PATIENCE, next)
    }

    /// Terms only rise, and nobody has begun while another still led.
    #[track_caller]
    fn check(&self) {
        let lines = self.lines();
        let terms: Vec<u64> = lines.iter().filter(|line| line.acquires).map(|line| line.term).collect();
        assert!(terms.is_sorted_by(|one, next| one < next), "{terms:?}");
        let overlapping: Vec<&Line> = lines.iter().filter(|line| line.overlaps).collect();
        assert!(overlapping.is_empty(), "{overlapping:?} in {lines:#?}");
    }
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis()
}

#[test]
fn the_role_goes_on_within_a_second_after_a_death_and_in_a_reload() {
    let _turn = alone();
    let (stead, _talk, leaders) = Leaders::start(3, 50);
    let first = leaders.next(0);
    let killed_at = now();
    kill(first.pid);
    let second = leaders.next(first.term);
    assert!(second.at < killed_at + 1000, "it took {} ms", second.at - killed_at);
    assert_ne!(second.pid, first.pid);
    let shown = stead.verb(&["show", "talker"]).stdout;
    assert!(shown.contains(&format!("term {}", second.term)), "{shown}");
    stead.wait_complete();
    stead.reload();
    let third = leaders.next(second.term);
    let released = leaders.lines().into_iter().find(|line| !line.acquires && line.pid == second.pid);
    let released = released.expect("the old one lets go before the new one begins");
    assert!(third.at >= released.at && third.at < released.at + 1000, "{released:?} {third:?}");
    assert_eq!(third.term, second.term + 1, "a reload moves the role once");
    leaders.check();
}

#[test]
fn the_death_of_the_daemon_changes_nothing() {
    let _turn = beside();
    let (stead, talk, leaders) = Leaders::start(3, 0);
    let first = leaders.next(0);
    let before = stead.status();
    for _ in 0..2 {
        let before = stead.status();
        kill(before.daemon_pid());
        stead.wait_status("a new daemon serves", BACK, |status| {
            status.daemon_pid() != before.daemon_pid() && status.is_complete()
        });
    }
    let leader = talk.ask("GET", "/v1/apps/talker/leader", &json!(null)).json();
    assert_eq!(leader["term"], first.term);
    assert_eq!(leaders.lines().len(), 1, "nobody was told anything new");
    // The leader dies while there is no daemon.
    kill(stead.status().daemon_pid());
    kill(first.pid);
    let next = leaders.next(first.term);
    assert!(next.term == first.term + 1 && next.pid != first.pid, "{next:?}");
    assert_eq!(stead.status().keeper_pid(), before.keeper_pid());
    leaders.check();
}

#[test]
fn never_do_two_lead_however_much_is_killed() {
    let _turn = alone();
    let (stead, _talk, leaders) = Leaders::start(4, 30);
    let end = Instant::now() + Duration::from_secs(8);
    let mut round = 0;
    while Instant::now() < end {
        round += 1;
        let processes = children(stead.pid());
        let victims: Vec<u32> = match round % 4 {
            // The leader itself, then any worker, then the daemon, then a reload in the middle of all that.
            0 => {
                leaders.lines().iter().rfind(|line| line.acquires).map(|line| line.pid).into_iter().collect()
            }
            1 => processes
                .iter()
                .filter(|child| child.command.contains("talker.js") && !child.command.contains(" daemon "))
                .map(|child| child.pid)
                .take(1)
                .collect(),
            2 => processes
                .iter()
                .filter(|child| child.command.contains(" daemon "))
                .map(|child| child.pid)
                .collect(),
            _ => {
                drop(stead.begin(&["reload"]));
                Vec::new()
            }
        };
        victims.into_iter().for_each(kill);
        pause_between(Duration::from_millis(150));
    }
    stead.wait_status("all is well again", PATIENCE, |status| status.is_complete());
    leaders.check();
    let terms = leaders.lines().iter().filter(|line| line.acquires).count();
    assert!(terms > 5, "the role has moved {terms} times");
    let last = leaders.next(0);
    kill(last.pid);
    leaders.next(last.term);
    leaders.check();
}
