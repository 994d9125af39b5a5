//! Follows a stream of WebSocket frames (RFC 6455 §5.2) just far enough to know when it is between two of them.
//!
//! Pure. It lets a tunnel say goodbye with a close frame when the worker's time is over, without ever tearing a frame.

/// A close frame from a server: status 1001, "going away" (RFC 6455 §7.4.1).
pub(crate) const GOING_AWAY: &[u8] = &[0x88, 0x02, 0x03, 0xe9];

/// Reads frame heads and skips payloads.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    head: Vec<u8>,
    payload: u64,
    closed: bool,
}

impl Frames {
    /// Takes bytes that were sent.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skipped = self.payload.min(bytes.len() as u64);
                self.payload -= skipped;
                bytes = &bytes[skipped as usize..];
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            if let Some(payload) = payload_after(&self.head) {
                self.closed |= self.head[0] & 0x0f == 8;
                self.payload = payload;
                self.head.clear();
            }
        }
    }

    /// A whole number of frames has passed, none of them a close.
    pub(crate) fn may_add(&self) -> bool {
        self.head.is_empty() && self.payload == 0 && !self.closed
    }
}

/// The length of the payload, once the head is whole.
fn payload_after(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    if head.len() < 2 + extended + mask {
        return None;
    }
    let big_endian = |bytes: &[u8]| bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    Some(if extended == 0 { u64::from(second & 0x7f) } else { big_endian(&head[2..2 + extended]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], may_add: bool) {
        let mut whole = Frames::default();
        whole.pass(bytes);
        let mut single = Frames::default();
        bytes.iter().for_each(|byte| single.pass(&[*byte]));
        assert_eq!((whole.may_add(), single.may_add()), (may_add, may_add), "{bytes:?}");
    }

    #[test]
    fn between_frames_is_where_a_frame_may_be_added() {
        check(&[], true);
        check(&[0x81], false);
        check(&[0x81, 0x02, b'h'], false);
        check(&[0x81, 0x02, b'h', b'i'], true);
        check(&[0x81, 0x82, 1, 2, 3, 4, b'h', b'i'], true);
        check(&[[0x82, 126, 0, 200].as_slice(), &[0; 200]].concat(), true);
        check(&[[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0].as_slice(), &[0; 65_535]].concat(), false);
        check(&[[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0].as_slice(), &[0; 65_536]].concat(), true);
    }

    #[test]
    fn nothing_follows_a_close() {
        check(GOING_AWAY, false);
    }
}
