//! Schedules in virtual time.

use super::*;
use crate::config::ScheduledWork;

fn settings(cron: &str, zone: &str, overlap: Overlap, catch_up: CatchUp) -> ScheduleSettings {
    ScheduleSettings {
        name: "s".to_owned(),
        cron: cron.to_owned(),
        time_zone: Some(zone.to_owned()),
        jitter: Duration::ZERO,
        work: ScheduledWork::Command("true".to_owned()),
        overlap,
        catch_up,
        timeout: Duration::from_secs(1),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// From `until`, looked at again at each of these times; what was decided, if anything was.
fn check(settings: &ScheduleSettings, until: &str, looks: &[(&str, &str)]) {
    let mut plan = Plan::new(settings, at(until), 0).expect("it is valid");
    for (now, expected) in looks {
        let decision = match *now {
            "end" => plan.ended(),
            now => plan.look(at(now)),
        };
        let short = |time: Timestamp| time.strftime("%d.%H:%M:%S").to_string();
        let said = match decision {
            None => String::new(),
            Some(Decision::Run { due }) => format!("run {}", short(due)),
            Some(Decision::CatchUp { missed }) => format!("catch up {}", short(missed)),
            Some(Decision::Miss { missed }) => format!("miss {}", short(missed)),
            Some(Decision::Skip { due, running }) => format!("skip {} for {}", short(due), short(running)),
            Some(Decision::Queue { due, running }) => {
                format!("queue {} after {}", short(due), short(running))
            }
        };
        assert_eq!(&said, expected, "at {now}: {plan:?}");
    }
}

#[test]
fn jitter_moves_each_run_behind_its_time_and_before_the_next() {
    let mut rushed = settings("* * * * *", "UTC", Overlap::Skip, CatchUp::None);
    rushed.jitter = Duration::from_secs(600);
    for seed in 0..50 {
        let mut plan = Plan::new(&rushed, at("2027-01-01T12:00:00Z"), seed).expect("it is valid");
        let mut delays = Vec::new();
        for minute in 1..30 {
            let due = at(&format!("2027-01-01T12:{minute:02}:00Z"));
            let begins = plan.next().expect("it comes");
            assert_eq!(plan.look(begins - Duration::from_millis(1)), None, "seed {seed}");
            assert_eq!(plan.look(begins), Some(Decision::Run { due }), "seed {seed}");
            assert_eq!(plan.look(begins), None, "seed {seed}");
            plan.ended();
            delays.push(begins.duration_since(due).as_secs());
        }
        assert!(delays.iter().all(|delay| (0..60).contains(delay)), "seed {seed}: {delays:?}");
        delays.dedup();
        assert!(delays.len() > 10, "seed {seed}: {delays:?}");
    }
}

#[test]
fn what_begins_within_its_jitter_is_not_missed() {
    let mut nightly = settings("0 3 * * *", "UTC", Overlap::Skip, CatchUp::None);
    nightly.jitter = Duration::from_secs(3600);
    let look = |now| Plan::new(&nightly, at("2027-01-01T12:00:00Z"), 7).expect("it is valid").look(at(now));
    let due = at("2027-01-02T03:00:00Z");
    assert_eq!(look("2027-01-02T04:00:59Z"), Some(Decision::Run { due }));
    assert_eq!(look("2027-01-02T04:01:01Z"), Some(Decision::Miss { missed: due }));
}

#[test]
fn each_time_is_run_once() {
    let nightly = settings("0 3 * * *", "UTC", Overlap::Skip, CatchUp::None);
    check(
        &nightly,
        "2027-01-01T12:00:00Z",
        &[
            ("2027-01-02T02:59:59Z", ""),
            ("2027-01-02T03:00:00Z", "run 02.03:00:00"),
            ("2027-01-02T03:00:00Z", ""),
            ("end", ""),
            ("2027-01-02T03:00:01Z", ""),
            ("2027-01-03T03:00:59Z", "run 03.03:00:00"),
        ],
    );
    let seconds = settings("* * * * * *", "UTC", Overlap::Skip, CatchUp::None);
    check(
        &seconds,
        "2027-01-01T12:00:00Z",
        &[
            ("2027-01-01T12:00:01.5Z", "run 01.12:00:01"),
            ("end", ""),
            ("2027-01-01T12:00:09Z", "run 01.12:00:09"),
        ],
    );
}

#[test]
fn a_run_that_has_not_ended_is_left_alone() {
    let looks = |decision: &'static str, follows: &'static str| {
        [("2027-01-01T12:01:00Z", "run 01.12:01:00"), ("2027-01-01T12:02:00Z", decision), ("end", follows)]
    };
    let with = |overlap| settings("* * * * *", "UTC", overlap, CatchUp::None);
    let from = "2027-01-01T12:00:00Z";
    check(&with(Overlap::Skip), from, &looks("skip 01.12:02:00 for 01.12:01:00", ""));
    check(&with(Overlap::Queue), from, &looks("queue 01.12:02:00 after 01.12:01:00", "run 01.12:02:00"));
    // However long it takes, one run follows.
    check(
        &with(Overlap::Queue),
        from,
        &[
            ("2027-01-01T12:01:00Z", "run 01.12:01:00"),
            ("2027-01-01T12:02:00Z", "queue 01.12:02:00 after 01.12:01:00"),
            ("2027-01-01T12:03:00Z", "queue 01.12:03:00 after 01.12:01:00"),
            ("end", "run 01.12:03:00"),
            ("end", ""),
        ],
    );
}

#[test]
fn what_was_missed_is_left_out_or_made_up_for_once() {
    let with = |catch_up| settings("0 * * * *", "UTC", Overlap::Skip, catch_up);
    let from = "2027-01-01T12:00:00Z";
    check(
        &with(CatchUp::None),
        from,
        &[("2027-01-04T08:30:00Z", "miss 04.08:00:00"), ("2027-01-04T09:00:00Z", "run 04.09:00:00")],
    );
    check(
        &with(CatchUp::One),
        from,
        &[
            ("2027-01-04T08:30:00Z", "catch up 04.08:00:00"),
            ("end", ""),
            ("2027-01-04T08:31:00Z", ""),
            ("2027-01-04T09:00:00Z", "run 04.09:00:00"),
        ],
    );
    // Nothing fell into the pause.
    check(&with(CatchUp::One), from, &[("2027-01-01T12:59:00Z", "")]);
    // A minute is no pause.
    check(&with(CatchUp::None), from, &[("2027-01-01T13:00:30Z", "run 01.13:00:00")]);
}

#[test]
fn a_clock_that_is_set_back_runs_nothing_twice_unless_it_was_wrong() {
    let hourly = settings("0 * * * *", "UTC", Overlap::Skip, CatchUp::None);
    check(
        &hourly,
        "2027-01-01T12:00:00Z",
        &[
            ("2027-01-01T13:00:00Z", "run 01.13:00:00"),
            ("end", ""),
            ("2027-01-01T12:30:00Z", ""),
            ("2027-01-01T13:00:00Z", ""),
            ("2027-01-01T14:00:00Z", "run 01.14:00:00"),
            ("end", ""),
            ("2026-06-01T10:00:00Z", ""),
            ("2026-06-01T11:00:00Z", "run 01.11:00:00"),
        ],
    );
}

/// All that is due between two times.
fn due(cron: &str, from: &str, to: &str) -> Vec<String> {
    let nightly = settings(cron, "Europe/Berlin", Overlap::Skip, CatchUp::None);
    let mut plan = Plan::new(&nightly, at(from), 0).expect("it is valid");
    let mut all = Vec::new();
    while let Some(next) = plan.next().filter(|next| *next <= at(to)) {
        if let Some(Decision::Run { due }) = plan.look(next) {
            all.push(due.strftime("%d.%H:%M").to_string());
        }
        plan.ended();
    }
    all
}

#[test]
fn days_on_which_the_clock_is_set_have_every_time_once() {
    let check = |cron, from, to, expected: &[&str]| assert_eq!(due(cron, from, to), expected, "{cron}");
    // 2027-03-28: from 2:00 to 3:00 local time, which is 1:00 UTC. 2:30 is left out by the clock.
    let spring = ("2027-03-26T12:00:00Z", "2027-03-29T12:00:00Z");
    check("0 3 * * *", spring.0, spring.1, &["27.02:00", "28.01:00", "29.01:00"]);
    check("30 2 * * *", spring.0, spring.1, &["27.01:30", "28.01:00", "29.00:30"]);
    // 2027-10-31: from 3:00 back to 2:00 local time, which is 1:00 UTC. 2:30 is there twice.
    let autumn = ("2027-10-29T12:00:00Z", "2027-11-01T12:00:00Z");
    check("30 2 * * *", autumn.0, autumn.1, &["30.00:30", "31.00:30", "01.01:30"]);
    check("0 3 * * *", autumn.0, autumn.1, &["30.01:00", "31.02:00", "01.02:00"]);
    // What comes every half hour goes on every half hour.
    let night = ("2027-10-31T00:00:00Z", "2027-10-31T02:00:00Z");
    check("*/30 * * * *", night.0, night.1, &["31.00:30", "31.01:00", "31.01:30", "31.02:00"]);
}
