//! A message as it came: bytes that are looked into only when somebody wants to.
//!
//! Whoever passes messages on never pays for reading them; whoever reads them chooses into what.

use std::os::fd::OwnedFd;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::frame::{self, BUN_MARK, FrameError, Serialization};
use super::v8::{self, Structured};
use crate::channel::Handle;

/// One message of the other side.
#[derive(Debug)]
pub struct Message {
    bytes: Vec<u8>,
    serialization: Serialization,
    handle: Option<OwnedFd>,
}

impl Message {
    /// The message in a frame.
    pub(super) fn of_frame(frame: &[u8], serialization: Serialization) -> Self {
        let bytes = match serialization {
            Serialization::Json => frame.strip_prefix(&[BUN_MARK]).unwrap_or(frame),
            Serialization::Advanced => frame,
        };
        Self { bytes: bytes.to_vec(), serialization, handle: None }
    }

    /// A message made of a value.
    pub(super) fn of_value(value: Value, serialization: Serialization) -> Self {
        let mut bytes = Vec::new();
        match serialization {
            Serialization::Json => bytes.extend(value.to_string().into_bytes()),
            Serialization::Advanced => v8::encode_structured(&value.into(), &mut bytes),
        }
        Self { bytes, serialization, handle: None }
    }

    /// The message that is wrapped in this one, because a descriptor goes along.
    pub(super) fn unwrapped(&self) -> Result<Self, FrameError> {
        let mut bytes = Vec::new();
        match self.serialization {
            Serialization::Json => bytes = self.value()?["msg"].to_string().into_bytes(),
            Serialization::Advanced => {
                let message = match self.structured()? {
                    Structured::Object(members) => members.into_iter().find(|(key, _)| key == "msg"),
                    _ => None,
                };
                let message = message.map_or(Structured::Undefined, |(_, message)| message);
                v8::encode_structured(&message, &mut bytes);
            }
        }
        Ok(Self { bytes, serialization: self.serialization, handle: None })
    }

    /// The bytes of the message: a line of JSON without its end, or V8's format without the length, as
    /// [`Self::serialization`] says. Whether they are well-formed was not looked at.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same as [`Self::bytes`], without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What [`Self::bytes`] are.
    #[must_use]
    pub const fn serialization(&self) -> Serialization {
        self.serialization
    }

    /// The message as JSON; halves of surrogate pairs, which JavaScript allows in texts, are U+FFFD. What is not JSON in V8's
    /// format becomes what `JSON.stringify` makes of it, see [`v8`](super::v8).
    ///
    /// # Errors
    /// The other side did not write a message.
    pub fn value(&self) -> Result<Value, FrameError> {
        frame::parse(&self.bytes, self.serialization)
    }

    /// The message with all that JavaScript can say: dates, maps, sets, big integers, bytes. Only in V8's format is there
    /// more than in [`Self::value`].
    ///
    /// # Errors
    /// The other side did not write a message.
    pub fn structured(&self) -> Result<Structured, FrameError> {
        match self.serialization {
            Serialization::Json => self.value().map(Structured::from),
            Serialization::Advanced => v8::decode_structured(&self.bytes).map_err(FrameError::Advanced),
        }
    }

    /// The message as a type of yours.
    ///
    /// ```no_run
    /// # fn example(message: &stead_process::node::Message) -> Result<(), stead_process::node::frame::FrameError> {
    /// #[derive(serde::Deserialize)]
    /// struct Count {
    ///     count: u64,
    /// }
    /// let Count { count } = message.parse()?;
    /// # let _ = count;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The message is none, or is not of this type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        match self.serialization {
            // JavaScript's strings may hold what Rust's cannot; reading them as a value repairs that.
            Serialization::Json => self
                .parse_borrowed()
                .or_else(|error| serde_json::from_value(self.value()?).map_err(|_| error)),
            Serialization::Advanced => serde_json::from_value(self.value()?).map_err(FrameError::Json),
        }
    }

    /// The message as a type of yours that borrows from it (`&str`, `&serde_json::value::RawValue`).
    ///
    /// # Errors
    /// The message is none, is not of this type, or is not in JSON.
    pub fn parse_borrowed<'a, T: Deserialize<'a>>(&'a self) -> Result<T, FrameError> {
        serde_json::from_slice(&self.bytes).map_err(FrameError::Json)
    }

    /// The same with what came along.
    pub(crate) fn with_descriptor(self, descriptor: OwnedFd) -> Self {
        Self { handle: Some(descriptor), ..self }
    }

    /// The socket that came along. It is given out once.
    pub fn take_handle(&mut self) -> Option<Handle> {
        self.handle.take().map(Handle::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_what_is_wrong_from_what_was_not_expected() {
        let check = |frame: &[u8], words: &str| {
            let error = Message::of_frame(frame, Serialization::Json).parse::<u32>().unwrap_err();
            assert_eq!(error.to_string(), words);
        };
        check(b"\"text\"", "message is not of the type asked for");
        check(b"-1", "message is not of the type asked for");
        check(b"[1", "message is not JSON");
        check(b"{broken", "message is not JSON");
        check(b"", "message is not JSON");
    }
}
