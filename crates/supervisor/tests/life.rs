//! Lives of applications as transcripts: lines with `>` go in, the lines after them must come out.
//!
//! `> resume` lets another process go on. `> +5s` lets time pass; every timeout that falls due on the way is handled at its time. Uninteresting events are left out.

use std::time::{Duration, Instant};

use stead_supervisor::{
    Action, App, AppConfig, Event, ExitKind, Input, Next, Readiness, ReadyTimeout, Recycle, Restart, WorkerId,
};

fn config() -> AppConfig {
    AppConfig {
        instances: 1,
        restart: Restart::Permanent,
        stop_exit_codes: vec![77],
        backoff_first: Duration::from_millis(100),
        backoff_max: Duration::from_secs(5),
        stable_after: Duration::from_secs(1),
        restarts_max: 2,
        restarts_period: Duration::from_secs(60),
        cool_down: Duration::from_secs(60),
        ready_timeout: Duration::from_secs(30),
        on_ready_timeout: ReadyTimeout::Fail,
        grace: Duration::from_secs(20),
        terminate_after: Duration::from_secs(5),
        kill_after: Duration::from_secs(3),
        reload_parallel: 1,
        health_replace_after: Duration::from_secs(30),
    }
}

fn check(config: &AppConfig, transcript: &str) {
    let expected: Vec<&str> = transcript.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let (mut app, mut now, mut actual) = (App::new(config.clone(), 1), Instant::now(), Vec::new());
    for line in expected.iter().filter(|line| line.starts_with('>')) {
        actual.push((*line).to_owned());
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        if words[0] == "resume" {
            app = resumed(&app, config, now);
        } else if let Some(wait) = words[0].strip_prefix('+') {
            let end = now + duration(wait);
            while let Some(at) = app.poll_timeout().filter(|at| *at <= end) {
                now = now.max(at);
                app.handle(now, Input::Timeout);
            }
            now = end;
        } else {
            app.handle(now, input(&words, config));
        }
        actual.extend(std::iter::from_fn(|| app.poll_action()).filter_map(|action| text(&action)));
    }
    assert_eq!(actual.join("\n"), expected.join("\n"));
}

/// Goes on as another process would.
fn resumed(app: &App, config: &AppConfig, now: Instant) -> App {
    let saved = serde_json::to_string(&app.save(now)).expect("it can be written");
    App::resume(config.clone(), 1, serde_json::from_str(&saved).expect("it can be read"), now)
}

fn duration(text: &str) -> Duration {
    match text.strip_suffix("ms") {
        Some(milliseconds) => Duration::from_millis(milliseconds.parse().expect("milliseconds")),
        None => Duration::from_secs(text.trim_end_matches('s').parse().expect("seconds")),
    }
}

fn input(words: &[&str], config: &AppConfig) -> Input {
    let number = || words[1].parse::<WorkerId>().expect("a number");
    match words[0] {
        "start" => Input::Start,
        "started" => Input::Started { worker: number(), pid: 1000 + u32::try_from(number()).expect("small") },
        "missing" => not_spawned(number(), "program not found", true),
        "refused" => not_spawned(number(), "too many processes", false),
        "ready" => Input::Ready { worker: number() },
        "unready" => Input::Unready { worker: number() },
        "drained" => Input::Drained { worker: number() },
        "unhealthy" => Input::Unhealthy { worker: number() },
        "too-large" => Input::Recycle { worker: number(), why: Recycle::Memory },
        "too-old" => Input::Recycle { worker: number(), why: Recycle::Age },
        "wedged" => Input::Wedged { worker: number() },
        "exited" => {
            let code = words[2].parse().expect("an exit code");
            Input::Exited { worker: number(), exit: ExitKind::by_code(code) }
        }
        "killed" => Input::Exited { worker: number(), exit: ExitKind::by_signal(9, false, false) },
        "scale" => Input::Scale(u32::try_from(number()).expect("small")),
        "reload" => Input::Reload { id: number() },
        "restart" => Input::Restart { id: number() },
        "reset-counts" => Input::ResetCounts,
        "reconfigure" => Input::Reconfigure(config.clone()),
        "stop" => Input::Stop,
        "stop-now" => Input::StopNow,
        other => panic!("no such input: {other}"),
    }
}

fn not_spawned(worker: WorkerId, reason: &str, fatal: bool) -> Input {
    Input::SpawnFailed { worker, reason: reason.to_owned(), fatal }
}

fn text(action: &Action) -> Option<String> {
    Some(match action {
        Action::Spawn { worker, slot } => format!("spawn {worker} in {slot}"),
        Action::Route { worker } => format!("route {worker}"),
        Action::Drain { worker } => format!("drain {worker}"),
        Action::Suspend { worker } => format!("suspend {worker}"),
        Action::StopPolitely { worker } => format!("ask {worker} to stop"),
        Action::Terminate { worker } => format!("SIGTERM {worker}"),
        Action::Kill { worker } => format!("SIGKILL {worker}"),
        Action::Tell(event) => format!("* {}", event_text(event)?),
    })
}

fn event_text(event: &Event) -> Option<String> {
    Some(match event {
        Event::WorkerReady { worker, readiness: Readiness::Assumed, .. } => {
            format!("{worker} is assumed ready")
        }
        Event::WorkerStarted { .. } | Event::WorkerReady { .. } | Event::WorkerUnready { .. } => return None,
        Event::WorkerUnhealthy { worker, .. } => format!("{worker} unhealthy"),
        Event::WorkerEjected { worker, .. } => format!("{worker} ejected"),
        Event::WorkerRestored { worker, .. } => format!("{worker} restored"),
        Event::WorkerHealthy { worker, after, .. } => format!("{worker} healthy after {after:?}"),
        Event::RecycleStarted { worker, why, .. } => format!("{worker} to be recycled: {why:?}"),
        Event::Recycled { worker, .. } => format!("{worker} recycled"),
        Event::RecycleFailed { worker, reason, .. } => format!("{worker} not recycled: {reason}"),
        Event::WorkerNotReady { worker, after, .. } => format!("{worker} not ready after {after:?}"),
        Event::WorkerWedged { worker, next, .. } => format!("{worker} wedged, {}", next_text(*next)),
        Event::WorkerExited { worker, expected: true, next: Next::No, .. } => format!("{worker} left"),
        Event::WorkerExited { worker, exit, next, .. } => format!("{worker} {exit}, {}", next_text(*next)),
        Event::SpawnFailed { worker, reason, next, .. } => format!("{worker} {reason}, {}", next_text(*next)),
        Event::Recovered { slot } => format!("slot {slot} recovered"),
        Event::ReloadProgress { id, done, of } => format!("reload {id}: {done}/{of}"),
        Event::ReloadDone { id } => format!("reload {id} done"),
        Event::ReloadFailed { id, reason, .. } => format!("reload {id} failed: {reason}"),
        Event::Finished => "finished".to_owned(),
        Event::Stopped => "stopped".to_owned(),
        Event::StartFollows => "start follows".to_owned(),
        Event::Failed { reason } => format!("failed: {reason}"),
    })
}

fn next_text(next: Next) -> String {
    match next {
        Next::Now => "next now".to_owned(),
        // How long depends on chance; restart.rs has tests of its own.
        Next::After(_) => "next later".to_owned(),
        Next::Failed { retry_in } => format!("slot failed for {retry_in:?}"),
        Next::Reload => "the reload goes on".to_owned(),
        Next::No => "no next".to_owned(),
    }
}

#[path = "life/health.rs"]
mod health;
#[path = "life/recycle.rs"]
mod recycle;
#[path = "life/reload.rs"]
mod reload;
#[path = "life/restart.rs"]
mod restart;
#[path = "life/resume.rs"]
mod resume;
#[path = "life/stop.rs"]
mod stop;

#[test]
fn worker_gets_requests_only_when_it_is_ready() {
    check(
        &AppConfig { instances: 2, ..config() },
        "> start
         spawn 1 in 0
         spawn 2 in 1
         > started 1
         > started 2
         > +10s
         > ready 2
         route 2
         > ready 1
         route 1",
    );
}

#[test]
fn crashed_worker_is_replaced_at_once() {
    check(
        &config(),
        "> start
         spawn 1 in 0
         > started 1
         > ready 1
         route 1
         > exited 1 1
         * 1 exit code 1, next now
         spawn 2 in 0
         > started 2
         > ready 2
         route 2
         > +1s
         > killed 2
         * 2 SIGKILL (from outside), next now
         spawn 3 in 0",
    );
}

#[test]
fn slot_that_keeps_failing_rests_and_the_application_has_failed_when_all_have() {
    check(
        &AppConfig { instances: 2, restarts_max: 1, ..config() },
        "> start
         spawn 1 in 0
         spawn 2 in 1
         > started 1
         > started 2
         > exited 1 1
         * 1 exit code 1, next later
         > +1s
         spawn 3 in 0
         > started 3
         > exited 3 1
         * 3 exit code 1, slot failed for 60s
         > exited 2 1
         * 2 exit code 1, next later
         > +1s
         spawn 4 in 1
         > refused 4
         * 4 too many processes, slot failed for 60s
         * failed: 2 starts in a row failed, the last because too many processes
         > +60s
         spawn 5 in 0
         spawn 6 in 1
         > started 5
         > exited 5 1
         * 5 exit code 1, slot failed for 60s
         > started 6
         > ready 6
         route 6
         * slot 1 recovered",
    );
}

#[test]
fn missing_program_fails_the_application_at_once_and_once() {
    check(
        &AppConfig { instances: 2, ..config() },
        "> start
         spawn 1 in 0
         spawn 2 in 1
         > missing 1
         * 1 program not found, slot failed for 60s
         * failed: program not found
         > missing 2
         * 2 program not found, slot failed for 60s
         > +59s
         > reconfigure
         spawn 3 in 0
         spawn 4 in 1
         > missing 3
         * 3 program not found, slot failed for 60s
         * failed: program not found",
    );
}

#[test]
fn program_that_went_missing_later_is_tried_again() {
    check(
        &config(),
        "> start
         spawn 1 in 0
         > started 1
         > ready 1
         route 1
         > +2s
         > exited 1 1
         * 1 exit code 1, next now
         spawn 2 in 0
         > missing 2
         * 2 program not found, next later
         > +1s
         spawn 3 in 0",
    );
}

#[test]
fn late_worker_is_stopped_and_replaced_when_it_is_gone() {
    check(
        &config(),
        "> start
         spawn 1 in 0
         > started 1
         > +30s
         ask 1 to stop
         * 1 not ready after 30s
         > ready 1
         > +4s
         > exited 1 0
         * 1 exit code 0, next later
         > +1s
         spawn 2 in 0",
    );
}

#[test]
fn late_worker_is_assumed_ready_if_so_configured() {
    check(
        &AppConfig { on_ready_timeout: ReadyTimeout::Assume, ..config() },
        "> start
         spawn 1 in 0
         > started 1
         > +30s
         route 1
         * 1 is assumed ready",
    );
}

#[test]
fn worker_that_stops_listening_may_come_back_and_is_replaced_if_it_does_not() {
    check(
        &config(),
        "> start
         spawn 1 in 0
         > started 1
         > ready 1
         route 1
         > unready 1
         drain 1
         > +29s
         > ready 1
         route 1
         > unready 1
         drain 1
         > +30s
         ask 1 to stop
         * 1 not ready after 30s
         spawn 2 in 0
         > exited 1 0
         * 1 left",
    );
}

#[test]
fn wedged_worker_is_replaced_at_once() {
    check(
        &config(),
        "> start
         spawn 1 in 0
         > started 1
         > ready 1
         route 1
         > +2s
         > wedged 1
         * 1 wedged, next now
         drain 1
         SIGTERM 1
         spawn 2 in 0
         > +3s
         SIGKILL 1
         > killed 1
         * 1 left",
    );
}

#[test]
fn process_that_appears_after_it_was_given_up_is_killed() {
    check(
        &config(),
        "> start
         spawn 1 in 0
         > +30s
         * 1 nothing answered the request to start it within 30s, next later
         > started 1
         SIGKILL 1
         > killed 1
         > +1s
         spawn 2 in 0",
    );
}

#[test]
fn application_whose_workers_are_not_wanted_back_is_finished() {
    check(
        &AppConfig { instances: 2, restart: Restart::Transient, ..config() },
        "> start
         spawn 1 in 0
         spawn 2 in 1
         > started 1
         > started 2
         > exited 1 0
         * 1 exit code 0, no next
         > exited 2 1
         * 2 exit code 1, next later
         > +1s
         spawn 3 in 1
         > started 3
         > exited 3 0
         * 3 exit code 0, no next
         * finished
         > start
         spawn 4 in 0
         spawn 5 in 1",
    );
}

#[test]
fn scaling_down_drains_the_highest_slots_first() {
    check(
        &AppConfig { instances: 3, ..config() },
        "> start
         spawn 1 in 0
         spawn 2 in 1
         spawn 3 in 2
         > started 1
         > started 2
         > started 3
         > ready 1
         route 1
         > ready 2
         route 2
         > ready 3
         route 3
         > scale 1
         drain 3
         drain 2
         > scale 2
         spawn 4 in 1
         > drained 2
         ask 2 to stop
         > exited 2 0
         * 2 left",
    );
}
