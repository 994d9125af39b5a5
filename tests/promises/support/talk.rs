//! What is said to workers over their socket, and what they wrote down about what they heard.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Answer, Client};
use super::stead::Plan;
use super::{Stead, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

/// What workers heard and wrote into a file.
pub(crate) struct Talk {
    socket: PathBuf,
    heard: PathBuf,
}

/// One thing that one worker heard.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) who: String,
    pub(crate) pid: u32,
    pub(crate) message: Value,
}

impl Talk {
    /// Starts what is planned, with a file for what its workers hear.
    #[track_caller]
    pub(crate) fn start(plan: Plan) -> (Stead, Talk) {
        let heard = plan.directory().join("heard");
        let stead = plan.env("HEARD", heard.display()).start();
        let socket = stead.path().join(format!("run/{}.workers", stead.pid()));
        (stead, Talk { socket, heard })
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// A request on the socket for workers.
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: stead\r\nContent-Length: {length}\r\n\r\n");
        Client::connect_unix(&self.socket).send(head + &body).answer()
    }

    /// Asks workers of `talker` from outside, and gives the answer's data.
    #[track_caller]
    pub(crate) fn request(&self, to: &Value, topic: &str, data: &Value) -> Value {
        let body = json!({ "to": to, "topic": topic, "data": data, "request": true });
        let answer = self.ask("POST", "/v1/messages", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["data"].take()
    }

    /// Has a worker in this slot of `talker` send this.
    #[track_caller]
    pub(crate) fn say(&self, slot: u32, message: &Value) {
        self.tell(slot, "say", message);
    }

    /// Tells a worker in this slot of `talker` something, which it does not answer.
    #[track_caller]
    pub(crate) fn tell(&self, slot: u32, topic: &str, data: &Value) {
        let to = json!({ "app": "talker", "slot": slot });
        let body = json!({ "to": to, "topic": topic, "data": data });
        let sent = self.ask("POST", "/v1/messages", &body).json();
        assert_eq!(sent, json!({ "receivers": 1, "dropped": 0 }));
    }

    /// Everything so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        let text = std::fs::read_to_string(&self.heard).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let read = |line: &str| {
            let mut value: Value = serde_json::from_str(line).expect("workers write JSON");
            Heard {
                who: value["who"].as_str().expect("a worker has a name").to_owned(),
                pid: value["pid"].as_u64().expect("a worker has a number") as u32,
                message: value["message"].take(),
            }
        };
        whole.lines().map(read).collect()
    }

    /// Waits until a worker has heard something that is meant.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, is_meant: impl Fn(&Heard) -> bool) -> Heard {
        eventually(what, PATIENCE, || self.heard().into_iter().find(&is_meant))
    }

    /// Waits until this worker has heard this in `stead`, with this data.
    #[track_caller]
    pub(crate) fn wait_for(&self, who: &str, stead: &Value, data: &Value) -> Heard {
        self.wait(&format!("{who} hears {stead} {data}"), |heard| {
            heard.who == who && &heard.message["stead"] == stead && &heard.message["data"] == data
        })
    }
}
