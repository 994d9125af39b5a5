//! The stacks that new processes stand on until they become programs.
//!
//! A stack is memory that stays shared even with a process that otherwise has a copy, so that the report beside it can be
//! read by the parent. Stacks are kept for the next start of the same process: after a `fork` two processes would share
//! them.

use std::ffi::c_void;
use std::io;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{SpawnFailure, Step};

/// Far more than `child.rs` needs, in debug builds too; only what is touched is memory.
const STACK_BYTES: usize = 64 * 1024;
/// Below the stack: whoever runs over its end is killed, and does not write into other memory.
const GUARD_BYTES: usize = 64 * 1024;
/// Above the stack, for the report. Keeps the stack's top aligned for every processor.
const REPORT_BYTES: usize = 64;
const BYTES: usize = GUARD_BYTES + STACK_BYTES;

static FREE: Mutex<Free> = Mutex::new(Free { process: 0, stacks: Vec::new() });

/// Stacks that nobody uses. As many as there ever were starts at one moment, which is at most as many as there are threads.
struct Free {
    /// Whose they are.
    process: u32,
    stacks: Vec<Mapping>,
}

/// A stack for one start; goes back for the next one when dropped.
pub(super) struct Stack(Option<Mapping>);

struct Mapping(*mut c_void);

/// What failed, as the child leaves it and the parent finds it.
#[derive(Clone, Copy)]
pub(super) struct Report(*mut SpawnFailureWords);

/// Zeros mean that nothing failed.
struct SpawnFailureWords {
    step_and_one: u32,
    errno: i32,
}

// SAFETY: memory that belongs to whoever has the mapping, on whatever thread.
unsafe impl Send for Mapping {}

impl Stack {
    /// With an empty report.
    pub(super) fn take() -> io::Result<Self> {
        let free = free().stacks.pop();
        let stack = Self(Some(free.map_or_else(Mapping::new, Ok)?));
        stack.report().fill(SpawnFailureWords { step_and_one: 0, errno: 0 });
        Ok(stack)
    }

    /// Where the stack begins; it grows downwards.
    pub(super) fn top(&self) -> *mut c_void {
        self.report().0.cast()
    }

    pub(super) fn report(&self) -> Report {
        let mapping = self.0.as_ref().expect("a stack has its memory until it is dropped");
        // SAFETY: inside of the mapping.
        Report(unsafe { mapping.0.byte_add(BYTES - REPORT_BYTES) }.cast())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        free().stacks.extend(self.0.take());
    }
}

fn free() -> MutexGuard<'static, Free> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if free.process != process {
        *free = Free { process, stacks: Vec::new() };
    }
    free
}

impl Mapping {
    fn new() -> io::Result<Self> {
        let kind = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: new memory, of nobody else.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), BYTES, libc::PROT_READ | libc::PROT_WRITE, kind, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mapping = Self(start);
        // SAFETY: the lower part of what was just mapped.
        match unsafe { libc::mprotect(start, GUARD_BYTES, libc::PROT_NONE) } {
            0 => Ok(mapping),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nobody stands on it.
        unsafe { libc::munmap(self.0, BYTES) };
    }
}

impl Report {
    pub(super) fn write(self, failure: SpawnFailure) {
        self.fill(SpawnFailureWords { step_and_one: failure.step as u32 + 1, errno: failure.errno });
    }

    pub(super) fn read(self) -> Option<SpawnFailure> {
        // SAFETY: inside of a mapping that is in use; always filled in by `Stack::take`. The child that might write is
        // another process, and past that.
        let words = unsafe { self.0.read_volatile() };
        let step = u8::try_from(words.step_and_one.checked_sub(1)?).ok().and_then(Step::from_byte);
        Some(SpawnFailure { step: step.unwrap_or(Step::Preparing), errno: words.errno })
    }

    fn fill(self, words: SpawnFailureWords) {
        // SAFETY: inside of a mapping that is in use.
        unsafe { self.0.write_volatile(words) };
    }
}
