//! What a worker says: a message is Stead's if it is an object with an object `stead` in it; what it carries is beside, in `data`.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::address::Address;
use crate::weight;

/// Whom a message of a worker concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// The program's own.
    Program,
    /// This room.
    Messages,
    /// Pools and their tasks.
    Pools,
}

/// What only pools say and hear.
const POOL_WORDS: [&str; 6] = ["pool", "worker", "done", "failed", "progress", "part"];
/// The longest name of a shared value.
const NAME_BYTES_MAX: usize = 256;
/// The longest name that an asker has for its question, which is kept until the answer comes.
const REQUEST_BYTES_MAX: usize = 256;

/// Whom this message concerns. Costs nothing for messages that are the program's own.
pub fn concern_of(message: &Value) -> Concern {
    let Some(Value::Object(stead)) = message.get("stead") else { return Concern::Program };
    if POOL_WORDS.iter().any(|word| stead.contains_key(*word)) { Concern::Pools } else { Concern::Messages }
}

/// What it says, understood.
#[derive(Debug, PartialEq)]
pub(crate) struct Envelope {
    /// The sender wants to know what became of it.
    pub(crate) id: Option<Value>,
    pub(crate) word: Word,
    pub(crate) data: Value,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Word {
    Send { to: Address, topic: Option<String>, include_self: bool },
    Request { to: Address, topic: Option<String>, id: Value, timeout: Option<Duration> },
    Reply { token: String, error: Option<Value> },
    Set { name: String, if_version: Option<u64> },
    Unset { name: String, if_version: Option<u64> },
    Get { name: String },
    Candidate(bool),
    Released(u64),
}

/// A message that makes no sense.
#[derive(Debug, PartialEq)]
pub(crate) struct Malformed {
    pub(crate) id: Option<Value>,
    /// It is a request, which is answered in another way.
    pub(crate) request: Option<Value>,
    pub(crate) text: String,
}

impl Envelope {
    pub(crate) fn parse(mut message: Value) -> Result<Self, Malformed> {
        let data = message.get_mut("data").map(Value::take).unwrap_or_default();
        let Some(Value::Object(mut stead)) = message.get_mut("stead").map(Value::take) else {
            return Err(Malformed { id: None, request: None, text: "it has no `stead`".to_owned() });
        };
        let id = stead.remove("id").filter(|id| !id.is_null());
        match word(&mut stead) {
            Ok(word) => Ok(Self { id, word, data }),
            Err(text) => Err(Malformed { id, request: stead.remove("request"), text }),
        }
    }
}

fn word(stead: &mut Map<String, Value>) -> Result<Word, String> {
    if let Some(to) = stead.get("to") {
        let to = Address::parse(to)?;
        let topic = text(stead, "topic")?;
        return Ok(match stead.get("request").cloned() {
            Some(id) if weight(&id) > REQUEST_BYTES_MAX => {
                return Err(format!("`request` is longer than {REQUEST_BYTES_MAX} bytes"));
            }
            Some(id) => {
                let timeout = number(stead, "timeout")?.map(Duration::from_millis);
                Word::Request { to, topic, id, timeout }
            }
            None => Word::Send { to, topic, include_self: flag(stead, "self")?.unwrap_or(false) },
        });
    }
    if let Some(token) = text(stead, "reply")? {
        return Ok(Word::Reply { token, error: stead.remove("error").filter(|error| !error.is_null()) });
    }
    let if_version = number(stead, "if_version")?;
    if let Some(name) = name(stead, "set")? {
        return Ok(Word::Set { name, if_version });
    }
    if let Some(name) = name(stead, "unset")? {
        return Ok(Word::Unset { name, if_version });
    }
    if let Some(name) = name(stead, "get")? {
        return Ok(Word::Get { name });
    }
    if let Some(candidate) = flag(stead, "candidate")? {
        return Ok(Word::Candidate(candidate));
    }
    if let Some(term) = number(stead, "released")? {
        return Ok(Word::Released(term));
    }
    let known = "`to`, `reply`, `set`, `get`, `unset`, `candidate` and `released`";
    let found: Vec<String> = stead.keys().map(|key| format!("`{key}`")).collect();
    Err(match found.is_empty() {
        true => format!("`stead` is empty; it has one of {known}"),
        false => format!("`stead` has none of {known}, only {}", found.join(", ")),
    })
}

fn text(stead: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match stead.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("`{key}` is no string")),
    }
}

fn name(stead: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    let name = text(stead, key)?;
    name.map(|name| check_name(&name).map(|()| name)).transpose()
}

/// Whether a shared value can be called so.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    match name.len() {
        0 => Err("a shared value has a name".to_owned()),
        1..=NAME_BYTES_MAX => Ok(()),
        _ => Err(format!("the name of a shared value is longer than {NAME_BYTES_MAX} bytes")),
    }
}

fn number(stead: &Map<String, Value>, key: &str) -> Result<Option<u64>, String> {
    match stead.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            // A program of numbers with a point, as JavaScript's are all, may write 30000.0.
            let whole = value.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0);
            let number = value.as_u64().or(whole.map(|number| number as u64));
            number.map(Some).ok_or_else(|| format!("`{key}` is no whole number"))
        }
    }
}

fn flag(stead: &Map<String, Value>, key: &str) -> Result<Option<bool>, String> {
    match stead.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(format!("`{key}` is neither true nor false")),
    }
}

/// What a worker gets: with `data`, if there is any.
pub(crate) fn envelope(stead: Value, data: Option<Value>) -> Value {
    let members = [("stead", Some(stead)), ("data", data)];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(stead: &Value, expected: Result<Word, &str>) {
        let parsed = Envelope::parse(json!({ "stead": stead, "data": 1 }));
        let found = parsed.map(|envelope| envelope.word).map_err(|malformed| malformed.text);
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{stead}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{stead}: {found}"),
            (found, expected) => panic!("{stead}: {found:?} in the place of {expected:?}"),
        }
    }

    #[test]
    fn words_are_understood() {
        let send = |topic: Option<&str>, include_self| {
            Ok(Word::Send { to: Address::App, topic: topic.map(str::to_owned), include_self })
        };
        check(&json!({"to": "app"}), send(None, false));
        check(&json!({"to": "app", "topic": "cache", "self": true}), send(Some("cache"), true));
        let request = |timeout| Word::Request { to: Address::Any, topic: None, id: json!(7), timeout };
        check(&json!({"to": "any", "request": 7}), Ok(request(None)));
        let half = Some(Duration::from_millis(500));
        check(&json!({"to": "any", "request": 7, "timeout": 500}), Ok(request(half)));
        check(&json!({"to": "any", "request": 7, "timeout": 500.0}), Ok(request(half)));
        check(&json!({"reply": "1-2"}), Ok(Word::Reply { token: "1-2".to_owned(), error: None }));
        check(&json!({"set": "a"}), Ok(Word::Set { name: "a".to_owned(), if_version: None }));
        check(
            &json!({"unset": "a", "if_version": 3}),
            Ok(Word::Unset { name: "a".to_owned(), if_version: Some(3) }),
        );
        check(&json!({"get": "a"}), Ok(Word::Get { name: "a".to_owned() }));
        check(&json!({"candidate": false}), Ok(Word::Candidate(false)));
        check(&json!({"released": 4}), Ok(Word::Released(4)));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        check(&json!({}), Err("`stead` is empty"));
        check(&json!({"too": "app"}), Err("only `too`"));
        check(&json!({"to": "app", "topic": 7}), Err("`topic` is no string"));
        check(&json!({"to": "app", "self": 1}), Err("`self` is neither true nor false"));
        check(&json!({"to": "any", "request": 1, "timeout": -1}), Err("`timeout` is no whole number"));
        check(&json!({"to": "any", "request": "x".repeat(257)}), Err("longer than 256 bytes"));
        check(&json!({"set": ""}), Err("has a name"));
        check(&json!({"set": "x".repeat(257)}), Err("longer than 256 bytes"));
        check(&json!({"released": "x"}), Err("`released` is no whole number"));
    }

    #[test]
    fn only_envelopes_concern_anybody_but_the_program() {
        for (message, expected) in [
            (json!("stead"), Concern::Program),
            (json!({"stead": true, "data": 1}), Concern::Program),
            (json!({"stead": {"to": "app"}}), Concern::Messages),
            (json!({"stead": {}}), Concern::Messages),
            (json!({"stead": {"done": "1"}}), Concern::Pools),
            (json!({"stead": {"pool": "resize", "task": 1}}), Concern::Pools),
        ] {
            assert_eq!(concern_of(&message), expected, "{message}");
        }
    }
}
