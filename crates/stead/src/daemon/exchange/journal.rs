//! Keeps what must outlive the daemon: notes, one in a line, in memory that the keeper holds too.
//!
//! A note is one write to that memory and no message to the keeper, so that a value may change thousands of times a second. When
//! there are too many notes, the shortest list that says the same takes their place. A daemon that dies in the middle of a note
//! leaves half a line, which nobody was told of yet.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;

use rustix::fs::{MemfdFlags, memfd_create};
use stead_messages::Note;
use stead_process::keeper::Keeper;

use super::super::held::{self, Held};

/// Notes are put together when they have become this long, and twice as long as the shortest list.
const SMALL_BYTES: usize = 1 << 20;

pub(super) struct Journal {
    keeper: Keeper,
    memory: Option<File>,
    bytes: usize,
    /// Of the shortest list, when it was made.
    shortest: usize,
    /// Another daemon goes on with it.
    left: bool,
}

impl Journal {
    /// With the notes of the daemon before this one.
    pub(super) fn open(keeper: &Keeper, held: &mut Held) -> (Self, Vec<Note>) {
        let mut journal = Self { keeper: keeper.clone(), memory: None, bytes: 0, shortest: 0, left: false };
        let mut text = Vec::new();
        let Some(memory) = held.take(held::MESSAGES) else { return (journal, Vec::new()) };
        let mut memory = File::from(memory);
        if memory.rewind().and_then(|()| memory.read_to_end(&mut text)).is_err() {
            return (journal, Vec::new());
        }
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        // What another version has written and this one does not know is left out.
        let notes = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        journal.bytes = whole;
        // What follows must not stand behind half a line.
        if memory.set_len(whole as u64).is_ok() && memory.seek(io::SeekFrom::End(0)).is_ok() {
            journal.memory = Some(memory);
        }
        (journal, notes)
    }

    /// Writes one more.
    pub(super) fn write(&mut self, note: &Note) {
        if self.left {
            return;
        }
        let Ok(line) = line(note) else { return };
        // Without memory for it a death of the daemon loses what it says; nothing else depends on it.
        let written = match &mut self.memory {
            Some(memory) => memory.write_all(&line).is_ok(),
            None => self.begin(&line).is_ok(),
        };
        self.bytes += if written { line.len() } else { 0 };
    }

    /// Writes the last one. What is written to is the next daemon's from here on.
    pub(super) fn leave(&mut self, note: &Note) {
        self.write(note);
        self.left = true;
    }

    pub(super) fn is_long(&self) -> bool {
        !self.left && self.bytes > SMALL_BYTES && self.bytes > 2 * self.shortest
    }

    /// These take the place of all so far.
    pub(super) fn replace(&mut self, notes: &[Note]) {
        if self.memory.is_none() && notes.is_empty() {
            return;
        }
        let lines: Vec<u8> = notes.iter().filter_map(|note| line(note).ok()).flatten().collect();
        if self.begin(&lines).is_ok() {
            self.bytes = lines.len();
        }
        // Without memory for it, it is tried again when it is twice as long.
        self.shortest = self.bytes;
    }

    fn begin(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut memory = File::from(memfd_create("stead-messages", MemfdFlags::CLOEXEC)?);
        memory.write_all(lines)?;
        self.keeper.hold(held::MESSAGES, memory.as_fd())?;
        self.memory = Some(memory);
        Ok(())
    }
}

fn line(note: &Note) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(note)?;
    line.push(b'\n');
    Ok(line)
}
