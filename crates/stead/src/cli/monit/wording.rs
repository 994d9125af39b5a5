//! An event in one line, for people. Pure.

use super::super::ending::with_tasks;
use super::super::format::{age, exit};
use stead_control::{Event, Progress};

/// Which app it is about (none: all), what it says, whether it is worth a second look.
pub(super) fn event(event: &Event) -> (Option<String>, String, bool) {
    let about = |app: &String| Some(app.clone());
    match event {
        Event::WorkerStarted { app, slot, pid, .. } => {
            (about(app), format!("{app}.{slot} started (pid {pid})"), false)
        }
        Event::WorkerReady { app, slot, pid, .. } => {
            (about(app), format!("{app}.{slot} is ready (pid {pid})"), false)
        }
        Event::WorkerExited { app, slot, pid, exit: how, restart_in, failed, .. } => {
            let next = match (failed, restart_in) {
                (true, Some(wait)) => format!("; it died too often, tried again in {}", age(*wait)),
                (true, None) => "; it died too often".to_owned(),
                (false, Some(wait)) if wait.is_zero() => "; replaced at once".to_owned(),
                (false, Some(wait)) => format!("; replaced in {}", age(*wait)),
                (false, None) => String::new(),
            };
            let text = format!("{app}.{slot} ended (pid {pid}): {}{next}", exit(how));
            (about(app), text, !how.expected)
        }
        Event::Listening { app, address } => (about(app), format!("{app} listens on {address}"), false),
        Event::Reload { progress } => progress_line(progress),
        Event::Scaled { app, instances } => {
            (about(app), format!("{app} is to have {instances} workers"), false)
        }
        Event::Poisoned(request) => {
            let (method, target, deaths) = (&request.method, &request.target, request.deaths.len());
            let text = format!("{}: {method} {target} killed {deaths} workers, answered 502", request.app);
            (about(&request.app), text, true)
        }
        Event::AppStopped { app } => (about(app), format!("{app} is stopped"), false),
        Event::AppDeleted { app, tasks } => {
            (about(app), format!("{app} is deleted{}", with_tasks(*tasks)), false)
        }
    }
}

fn progress_line(progress: &Progress) -> (Option<String>, String, bool) {
    match progress {
        Progress::Step { app, done, of } => {
            (Some(app.clone()), format!("{app}: {done} of {of} workers replaced"), false)
        }
        Progress::Note { text } => (None, text.clone(), false),
        Progress::Done { apps } => (None, format!("reloaded {}", apps.join(", ")), false),
        Progress::Failed { app, reason, done, of, .. } => {
            let text = format!("failed to reload {app}: {reason} ({done} of {of} workers replaced)");
            (Some(app.clone()), text, true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};
    use stead_control::{ExitReport, PoisonedRequest};

    #[test]
    fn events_are_sentences() {
        let check = |event: &Event, expected: &str, loud: bool| {
            let (_, text, is_loud) = super::event(event);
            assert_eq!((text.as_str(), is_loud), (expected, loud));
        };
        let app = || "shop".to_owned();
        check(
            &Event::WorkerReady { app: app(), worker: 9, slot: 1, pid: 77 },
            "shop.1 is ready (pid 77)",
            false,
        );
        let exited = |code, restart_in, failed| {
            let exit = ExitReport { code, signal: Some(9), out_of_memory: false, expected: false };
            Event::WorkerExited { app: app(), worker: 9, slot: 1, pid: 77, exit, restart_in, failed }
        };
        check(
            &exited(Some(1), Some(Duration::ZERO), false),
            "shop.1 ended (pid 77): code 1; replaced at once",
            true,
        );
        check(
            &exited(None, Some(Duration::from_secs(60)), true),
            "shop.1 ended (pid 77): SIGKILL; it died too often, tried again in 1m 0s",
            true,
        );
        check(&exited(Some(0), None, false), "shop.1 ended (pid 77): code 0", true);
        let reload = |progress| Event::Reload { progress };
        check(&reload(Progress::Done { apps: vec![app(), "api".to_owned()] }), "reloaded shop, api", false);
        let failed = Progress::Failed {
            app: app(),
            reason: "it did not get ready".to_owned(),
            hint: None,
            done: 0,
            of: 2,
        };
        check(&reload(failed), "failed to reload shop: it did not get ready (0 of 2 workers replaced)", true);
        let poisoned = PoisonedRequest {
            app: app(),
            at: UNIX_EPOCH,
            method: "GET".to_owned(),
            target: "/boom".to_owned(),
            headers: Vec::new(),
            deaths: Vec::new(),
        };
        check(&Event::Poisoned(poisoned), "shop: GET /boom killed 0 workers, answered 502", true);
    }
}
