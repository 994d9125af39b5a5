//! Bytes read and not yet used, in one growing piece of memory.
//!
//! An empty buffer can give its memory back, to the next buffer of the same thread that needs some: idle connections hold
//! none, and busy ones do not trouble the allocator (each request would fault in pages that the last one returned).

use std::cell::RefCell;

/// Pieces of memory a thread keeps for its next buffers.
const SPARE_MAX: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Room asked for before each read, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// The same, where each read has been filled.
const STREAM_BYTES: usize = 64 * 1024;

/// A queue of bytes: read at the end, used from the front.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }
}

impl Buffer {
    pub(crate) fn unused(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// The first `count` bytes have been used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        assert!(self.start <= self.bytes.len(), "only bytes that are there are used");
        if self.is_empty() {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    /// The memory to read into: spare room behind the unused bytes.
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        if self.start > 0 && self.bytes.capacity() - self.bytes.len() < READ_BYTES {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        if self.bytes.capacity() == 0
            && let Some(spare) = SPARE.with_borrow_mut(Vec::pop)
        {
            self.bytes = spare;
        }
        if self.bytes.capacity() - self.bytes.len() < READ_BYTES / 4 {
            self.bytes.reserve(READ_BYTES);
        }
        &mut self.bytes
    }

    /// The last read has filled all its room: whoever sends has more. Larger reads follow once these bytes are used.
    pub(crate) fn widen_if_full(&mut self) {
        if self.bytes.len() == self.bytes.capacity() && self.bytes.len() < STREAM_BYTES {
            self.bytes.reserve_exact(STREAM_BYTES - self.bytes.len());
        }
    }

    /// Gives the memory back; for connections that go idle. Unused bytes stay.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if self.bytes.capacity() == 0 {
            return;
        }
        self.clear();
        let memory = std::mem::take(&mut self.bytes);
        // A thread that is ending keeps nothing.
        let _ended = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX && memory.capacity() <= 2 * READ_BYTES {
                spare.push(memory);
            }
        });
    }
}

/// A connection that serves one request and ends would else fault in new pages each time.
impl Drop for Buffer {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_bytes_make_room_and_unused_ones_stay() {
        let mut buffer = Buffer::default();
        buffer.room().extend_from_slice(b"hello world");
        buffer.consume(6);
        assert_eq!(buffer.unused(), b"world");
        for _ in 0..10_000 {
            buffer.room().extend_from_slice(b"0123456789");
            buffer.consume(10);
        }
        assert_eq!(buffer.len(), 5);
        assert!(buffer.room().capacity() < 4 * READ_BYTES, "memory does not grow with traffic");
        buffer.consume(5);
        buffer.release();
        assert_eq!(buffer.bytes.capacity(), 0);
        assert_eq!(SPARE.with_borrow(Vec::len), 1);
        buffer.room();
        assert_eq!(SPARE.with_borrow(Vec::len), 0, "the next one that reads takes it");
        buffer.room().extend_from_slice(b"of a client that is gone");
        drop(buffer);
        assert_eq!(SPARE.with_borrow(Vec::len), 1);
        assert!(SPARE.with_borrow(|spare| spare[0].is_empty()), "and nobody reads what was left in it");
    }
}
