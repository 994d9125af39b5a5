//! Pools: workers that take tasks. The engine of `stead_jobs` decides, this carries: channels, waiting senders, disk.
//!
//! | file | holds |
//! |---|---|
//! | `speech.rs` | what is said about tasks, as bytes |
//! | `driver.rs` | one pool: feeds its engine and performs what that decides |
//! | `book.rs` | its journal |
//! | `safety.rs` | who waits for the disk |
//! | `hand.rs` | a worker of it: what it speaks, and whether it has ended |
//! | `mouth.rs` | says things to workers, what belongs together in one write |
//! | `waiting.rs` | who waits for a task, and what they are told |
//! | `ear.rs` | takes what is about tasks out of what workers say |
//! | `readiness.rs` | when a worker is ready that does not say so |
//! | `tend.rs` | what the task of an app does for its pool |
//! | `desk.rs` | what is asked over the API |
//! | `tally.rs` | what is shown of it |
//! | `telling.rs` | what a task is called, and how it ended, in words |
//!
//! A message passes no task of the runtime but the one that reads it: whoever hears something locks the pool, tells the engine,
//! and sends what follows from it before waiting again. Nobody waits with the lock.

mod book;
mod desk;
mod driver;
mod ear;
mod hand;
mod mouth;
mod readiness;
mod safety;
mod speech;
mod tally;
mod telling;
mod tend;
mod waiting;

pub(super) use desk::Register;
pub(super) use driver::{Pool, SavedPool, Wish};
pub(super) use ear::Ear;
