//! What people are told of a task: what it is called, how it ended, and how workers died of it.

use std::sync::Arc;

use serde_json::value::RawValue;
use stead_control::{ExitRecord, TaskState};
use stead_jobs::{Fault, Outcome, TaskId};

use super::speech;

/// How a task ended, in the words of the API.
pub(super) type Told = (TaskState, Option<Box<RawValue>>, Option<Box<RawValue>>);

/// Tells it of a task of this pool that people call `id`.
pub(super) fn told(pool: &str, id: &str, outcome: &Outcome) -> Told {
    let error = |code, message| raw(speech::error(code, message).as_bytes());
    match outcome {
        Outcome::Done(result) => (TaskState::Done, raw(result), None),
        Outcome::Failed(Fault::Told(told)) => (TaskState::Failed, None, raw(told)),
        Outcome::Failed(Fault::Timeout) => (TaskState::Failed, None, error("timeout", "it took too long")),
        Outcome::Poison(_) => {
            let how = deaths(outcome).pop().map(|last| format!(" (the last one: {})", last.why));
            let message = format!(
                "the workers that were given it died{}; it is set aside, and `stead pool dead show {pool} {id}` tells more",
                how.unwrap_or_default()
            );
            (TaskState::Poison, None, error("poison", &message))
        }
        Outcome::Cancelled => (TaskState::Cancelled, None, error("cancelled", "it was cancelled")),
    }
}

/// How workers died of a task, as far as that is known.
pub(super) fn deaths(outcome: &Outcome) -> Vec<ExitRecord> {
    let Outcome::Poison(told) = outcome else { return Vec::new() };
    // What another version wrote may be something else.
    told.iter().filter_map(|told| serde_json::from_slice(told).ok()).collect()
}

/// What a task is called: as its giver says, or by its number.
pub(super) fn id_of(task: TaskId, name: Option<&Arc<str>>) -> String {
    let name = name.filter(|name| !is_own(name));
    name.map_or_else(|| task.to_string(), ToString::to_string)
}

/// The name of a task that came over a channel: whose it is, and that sender's number for it. It means nothing to people.
pub(super) fn own_name(instance: &str, (app, worker): (u32, u64), id: &RawValue) -> String {
    format!("{instance}/{app}.{worker}/{id}")
}

/// An instance is called by the start of the system, a UUID, its process, and the start of that.
fn is_own(name: &str) -> bool {
    let mut parts = name.splitn(3, '/');
    let instance = parts.next().is_some_and(|instance| instance.split('-').count() == 7);
    instance && parts.count() == 2
}

/// JSON that was looked at when it came.
pub(super) fn raw(json: &[u8]) -> Option<Box<RawValue>> {
    String::from_utf8(json.to_vec()).ok().and_then(|text| RawValue::from_string(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_channel_are_told_from_those_of_people() {
        let id = RawValue::from_string("\"a/b\"".to_owned()).expect("it is JSON");
        assert!(is_own(&own_name("1a2b3c4d-1111-2222-3333-444455556666-17-99", (3, 4), &id)));
        for name in ["order-17", "a/b/c", "1a2b3c4d-1111-2222-3333-444455556666", "a-b-c-d-e-f-g/h"] {
            assert!(!is_own(name), "{name}");
        }
    }
}
