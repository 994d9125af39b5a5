//! The shared values of one app. Versions are numbered through for the whole app, so that they rise even across a value that was
//! forgotten, and nothing has to be kept of it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Code, Fault, Limits, weight};

/// A value and its version.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    /// Of the app's versions, that with which it was set.
    pub version: u64,
    /// The value.
    pub data: Value,
}

/// What is to become of a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// The new value; nothing: it is forgotten.
    pub data: Option<Value>,
    /// Only if it has this version; 0: if it is not set.
    pub if_version: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Values {
    version: u64,
    values: BTreeMap<String, Shared>,
    bytes: usize,
}

impl Values {
    pub(crate) fn get(&self, name: &str) -> Option<&Shared> {
        self.values.get(name)
    }

    pub(crate) fn all(&self) -> &BTreeMap<String, Shared> {
        &self.values
    }

    /// The last version given to any.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Sets or forgets a value. Nothing, if it was not there and is to be forgotten.
    pub(crate) fn change(
        &mut self,
        name: &str,
        Change { data, if_version }: Change,
        limits: &Limits,
    ) -> Result<Option<u64>, Fault> {
        let found = self.get(name).map_or(0, |shared| shared.version);
        if let Some(wanted) = if_version.filter(|wanted| *wanted != found) {
            let text = format!("shared value `{name}` has version {found}, and not {wanted}");
            return Err(Fault::new(Code::Conflict, text));
        }
        if let Some(data) = &data {
            self.check_size(name, data, limits)?;
        } else if found == 0 {
            return Ok(None);
        }
        let version = self.version + 1;
        self.put(name, version, data);
        Ok(Some(version))
    }

    fn check_size(&self, name: &str, data: &Value, limits: &Limits) -> Result<(), Fault> {
        let (bytes, most) = (weight(data), limits.message_bytes_max);
        if bytes > most {
            let text =
                format!("shared value `{name}` has about {bytes} bytes, and `message_bytes_max` is {most}");
            return Err(Fault::new(Code::TooLarge, text));
        }
        let old = self.get(name).map_or(0, |shared| name.len() + weight(&shared.data));
        let all = self.bytes - old + name.len() + bytes;
        if all > limits.shared_bytes_max {
            let most = limits.shared_bytes_max;
            let text = format!(
                "with `{name}` all shared values have about {all} bytes, and `shared_bytes_max` is {most}"
            );
            return Err(Fault::new(Code::TooLarge, text));
        }
        Ok(())
    }

    /// No version up to this one is given again.
    pub(crate) fn put_version(&mut self, version: u64) {
        self.version = self.version.max(version);
    }

    /// Without asking: what was decided before.
    pub(crate) fn put(&mut self, name: &str, version: u64, data: Option<Value>) {
        self.version = self.version.max(version);
        if let Some(old) = self.values.remove(name) {
            self.bytes -= name.len() + weight(&old.data);
        }
        if let Some(data) = data {
            self.bytes += name.len() + weight(&data);
            self.values.insert(name.to_owned(), Shared { version, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    const LIMITS: Limits = Limits {
        message_bytes_max: 100,
        queue_max: 1,
        queue_bytes_max: 1,
        timeout: Duration::ZERO,
        shared_bytes_max: 150,
    };

    /// A name, what it is set to, on which condition; and what that comes to.
    type Step<'a> = (&'a str, Option<Value>, Option<u64>, Result<Option<u64>, &'a str>);

    #[track_caller]
    fn check(steps: &[Step<'_>]) {
        let mut values = Values::default();
        for (name, data, if_version, expected) in steps {
            let found = values.change(name, Change { data: data.clone(), if_version: *if_version }, &LIMITS);
            let found = found.map_err(|fault| fault.code);
            assert_eq!(found, expected.map_err(str::to_owned), "{name} {data:?} {if_version:?}");
        }
        let bytes: usize = values.all().iter().map(|(name, shared)| name.len() + weight(&shared.data)).sum();
        assert_eq!(values.bytes, bytes);
    }

    #[test]
    fn versions_rise_even_across_a_forgotten_value() {
        check(&[
            ("a", Some(json!(1)), None, Ok(Some(1))),
            ("a", Some(json!(2)), None, Ok(Some(2))),
            ("a", None, None, Ok(Some(3))),
            ("a", None, None, Ok(None)),
            ("a", Some(json!(3)), None, Ok(Some(4))),
        ]);
    }

    #[test]
    fn a_change_can_depend_on_the_version() {
        check(&[
            ("a", Some(json!(1)), Some(1), Err("conflict")),
            ("a", Some(json!(1)), Some(0), Ok(Some(1))),
            ("a", Some(json!(2)), Some(0), Err("conflict")),
            ("a", Some(json!(2)), Some(1), Ok(Some(2))),
            ("a", None, Some(1), Err("conflict")),
            ("a", None, Some(2), Ok(Some(3))),
        ]);
    }

    #[test]
    fn values_have_limits_alone_and_together() {
        let text = |length: usize| Some(json!("x".repeat(length)));
        check(&[
            ("a", text(99), None, Err("too_large")),
            ("a", text(90), None, Ok(Some(1))),
            ("b", text(90), None, Err("too_large")),
            ("a", text(50), None, Ok(Some(2))),
            ("b", text(90), None, Ok(Some(3))),
            ("a", text(60), None, Err("too_large")),
            ("b", None, None, Ok(Some(4))),
            ("a", text(90), None, Ok(Some(5))),
        ]);
    }
}
