//! To whom a message is.
//!
//! | `to` | means |
//! |---|---|
//! | `"app"` | every other worker of the sender's app |
//! | `"all"` | every other worker of every app |
//! | `"leader"` | the leader of the sender's app |
//! | `"any"` | one ready worker of the sender's app |
//! | `"shop"` | every worker of app shop |
//! | `"shop.2"` | the worker in slot 2 of app shop |
//! | `{"app": "shop", "slot": 2, "one": true, "leader": true}` | the same in parts, which is never ambiguous |

use serde::Deserialize;
use serde_json::Value;

/// An address as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Every worker of the sender's app.
    App,
    /// Every worker.
    All,
    /// The leader of the sender's app.
    Leader,
    /// One ready worker of the sender's app.
    Any,
    /// An app, or a worker of one.
    Name(String),
    /// The same in parts.
    Parts {
        /// The app.
        app: String,
        /// Which of its workers; nothing: all of them.
        which: Option<Which>,
    },
}

/// One worker of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// That in this slot.
    Slot(u32),
    /// Any that is ready.
    One,
    /// The leader.
    Leader,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    app: String,
    slot: Option<u32>,
    #[serde(default)]
    one: bool,
    #[serde(default)]
    leader: bool,
}

impl Address {
    /// Reads what stands in `to`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(to: &Value) -> Result<Self, String> {
        match to {
            Value::String(word) => Ok(match word.as_str() {
                "app" => Self::App,
                "all" => Self::All,
                "leader" => Self::Leader,
                "any" => Self::Any,
                name => Self::Name(name.to_owned()),
            }),
            Value::Object(_) => {
                let Object { app, slot, one, leader } =
                    Object::deserialize(to).map_err(|error| format!("`to` is no address: {error}"))?;
                let which = match (slot, one, leader) {
                    (None, false, false) => None,
                    (Some(slot), false, false) => Some(Which::Slot(slot)),
                    (None, true, false) => Some(Which::One),
                    (None, false, true) => Some(Which::Leader),
                    _ => return Err("`to` has more than one of `slot`, `one` and `leader`".to_owned()),
                };
                Ok(Self::Parts { app, which })
            }
            _ => Err("`to` is neither a word nor an object".to_owned()),
        }
    }
}

/// The app and the slot in `shop.2`.
pub(crate) fn app_and_slot(name: &str) -> Option<(&str, u32)> {
    let (app, slot) = name.rsplit_once('.')?;
    Some((app, slot.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_words_or_objects() {
        let check = |to: Value, expected: Result<Address, &str>| {
            assert_eq!(Address::parse(&to), expected.map_err(str::to_owned), "{to}");
        };
        let shop = |which| Ok(Address::Parts { app: "shop".to_owned(), which });
        check(json!("app"), Ok(Address::App));
        check(json!("all"), Ok(Address::All));
        check(json!("leader"), Ok(Address::Leader));
        check(json!("any"), Ok(Address::Any));
        check(json!("shop.2"), Ok(Address::Name("shop.2".to_owned())));
        check(json!({"app": "shop"}), shop(None));
        check(json!({"app": "shop", "slot": 2}), shop(Some(Which::Slot(2))));
        check(json!({"app": "shop", "one": true}), shop(Some(Which::One)));
        check(json!({"app": "shop", "leader": true}), shop(Some(Which::Leader)));
        check(
            json!({"app": "shop", "one": true, "slot": 1}),
            Err("`to` has more than one of `slot`, `one` and `leader`"),
        );
        check(json!(7), Err("`to` is neither a word nor an object"));
        assert!(Address::parse(&json!({"app": "shop", "slots": 2})).is_err());
        assert!(Address::parse(&json!({"slot": 2})).is_err());
    }

    #[test]
    fn a_worker_is_an_app_and_a_slot() {
        assert_eq!(app_and_slot("shop.2"), Some(("shop", 2)));
        assert_eq!(app_and_slot("my.shop.12"), Some(("my.shop", 12)));
        assert_eq!(app_and_slot("shop"), None);
        assert_eq!(app_and_slot("shop.x"), None);
    }
}
