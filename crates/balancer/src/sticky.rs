//! The cookie by which a client comes back to the slot that it had.
//!
//! It holds the slot and a signature (HMAC-SHA256), nothing of the client: who writes one himself is not believed, so that
//! nobody can send all his requests to a worker of his choice that he was never given. It ends with the browser's session.

use std::fmt;

use aws_lc_rs::{constant_time, hmac, rand};

use crate::http::Scheme;

/// Bytes of the signature that go into the cookie: enough that none is guessed.
const SIGNATURE_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// Signs cookies. To be kept: with another key all clients are new.
#[derive(Clone, PartialEq, Eq)]
pub struct StickyKey([u8; KEY_BYTES]);

impl StickyKey {
    /// One that nobody knows.
    ///
    /// # Panics
    /// When the system has no random numbers, and nothing could be secret.
    #[must_use]
    pub fn generate() -> Self {
        let mut key = [0; KEY_BYTES];
        rand::fill(&mut key).expect("the system has random numbers");
        Self(key)
    }

    /// To be kept where only its owner reads.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// What [`StickyKey::to_hex`] wrote; nothing if it is something else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let mut key = [0; KEY_BYTES];
        if digits.len() != 2 * KEY_BYTES || !text.is_ascii() {
            return None;
        }
        for (byte, place) in key.iter_mut().zip(0..) {
            *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
        }
        Some(Self(key))
    }
}

/// Not for logs.
impl fmt::Debug for StickyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StickyKey")
    }
}

/// The cookie of one app.
#[derive(Debug, Clone)]
pub struct Sticky {
    /// Its name.
    pub(crate) cookie: String,
    key: hmac::Key,
}

impl Sticky {
    /// For an app: a name is part of the cookie's, since cookies do not tell the ports of a host apart.
    #[must_use]
    pub fn new(app: &str, key: &StickyKey) -> Self {
        Self { cookie: format!("stead_{app}"), key: hmac::Key::new(hmac::HMAC_SHA256, &key.0) }
    }

    /// The cookie's value for a slot.
    pub(crate) fn value(&self, slot: u32) -> String {
        let tag = hmac::sign(&self.key, &slot.to_be_bytes());
        format!("{slot}.{}", hex(&tag.as_ref()[..SIGNATURE_BYTES]))
    }

    /// The slot that a cookie names; nothing if it is not one of ours.
    pub(crate) fn slot(&self, value: &[u8]) -> Option<u32> {
        let (slot, _) = std::str::from_utf8(value).ok()?.split_once('.')?;
        let slot: u32 = slot.parse().ok()?;
        constant_time::verify_slices_are_equal(self.value(slot).as_bytes(), value).is_ok().then_some(slot)
    }

    /// Puts the cookie for a slot into the head of an answer that is written whole.
    pub(crate) fn set(&self, slot: u32, scheme: Scheme, head: &mut Vec<u8>) {
        const END: &[u8] = b"\r\n";
        debug_assert!(head.ends_with(b"\r\n\r\n"), "the cookie goes into a head");
        head.truncate(head.len() - END.len());
        let secure = if scheme == Scheme::Https { "; Secure" } else { "" };
        let (name, value) = (&self.cookie, self.value(slot));
        let field = format!("set-cookie: {name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}\r\n\r\n");
        head.extend_from_slice(field.as_bytes());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_signed_with_the_key_is_believed() {
        let key = StickyKey::generate();
        let sticky = Sticky::new("shop", &key);
        let value = sticky.value(7);
        assert_eq!(sticky.slot(value.as_bytes()), Some(7));
        let again = Sticky::new("shop", &StickyKey::from_hex(&key.to_hex()).expect("as it was written"));
        assert_eq!(again.slot(value.as_bytes()), Some(7), "the next process believes it too");
        let other = Sticky::new("shop", &StickyKey::generate());
        assert_eq!(other.slot(value.as_bytes()), None);
        let (_, signature) = value.split_once('.').expect("it has two parts");
        let forged =
            [format!("8.{signature}"), format!("07.{signature}"), format!("{value}0"), "7.".to_owned()];
        let nonsense = ["", "7", "x.y", "-1.0", "99999999999.0", "7.ä"].map(str::to_owned);
        for value in forged.iter().chain(&nonsense) {
            assert_eq!(sticky.slot(value.as_bytes()), None, "{value}");
        }
        assert_eq!(sticky.slot(&[0xff, b'.']), None);
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        for text in ["", "00", &"g".repeat(64), &"ä".repeat(32)] {
            assert_eq!(StickyKey::from_hex(text), None, "{text}");
        }
    }

    #[test]
    fn cookie_is_the_last_field_of_a_head() {
        let sticky = Sticky::new("shop", &StickyKey([7; KEY_BYTES]));
        let check = |scheme, secure: &str| {
            let mut head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
            sticky.set(1, scheme, &mut head);
            let cookie = format!("stead_shop={}; Path=/; HttpOnly; SameSite=Lax{secure}", sticky.value(1));
            let expected = format!("HTTP/1.1 200 OK\r\nset-cookie: {cookie}\r\n\r\n");
            assert_eq!(String::from_utf8_lossy(&head), expected);
        };
        check(Scheme::Http, "");
        check(Scheme::Https, "; Secure");
    }
}
