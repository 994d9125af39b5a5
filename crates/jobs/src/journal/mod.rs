//! What was accepted and how it ended, on disk, so that it outlives whoever accepted it.
//!
//! The map: [`Journal`] (`file.rs`) is one file of records, written in batches (`batch.rs`); `repair.rs` makes it whole again; [`Writer`]
//! (`writer.rs`) writes on a thread of its own, all that has come together with one wait for the disk; [`Record`] (`record.rs`) is what
//! is written of tasks, and [`Ledger`] (`ledger.rs`) what it all comes to. Who keeps other things than tasks uses the first two alone.

mod batch;
mod file;
mod ledger;
mod record;
mod repair;
mod writer;

pub use file::{Entry, Journal, JournalError};
pub use ledger::Ledger;
pub use record::{BadRecord, Record};
pub use repair::Damage;
pub use writer::{Synced, Writer};
