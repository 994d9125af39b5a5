//! A message reaches whom it is meant for, or its sender is told why not; one value is the same for all; one worker leads.
//!
//! Pure: no clock, no task, no process, no HTTP. The [`Switchboard`] is told what happens and what workers say, with the time,
//! and uses a [`Carrier`] for what follows at once: a message on its way, a note of what must outlive this process.
//!
//! | file | holds |
//! |---|---|
//! | `envelope.rs`, `address.rs` | what workers say, and to whom |
//! | `switchboard.rs`, `routing.rs` | who there is, and how a message gets there |
//! | `requests.rs` | questions that wait for their answer |
//! | `sharing.rs`, `values.rs` | shared values, and who has yet to be told of them |
//! | `roles.rs`, `leader.rs` | who leads an app: never two at once |
//! | `note.rs`, `resume.rs` | what outlives the process, and how the next one goes on |
//! | `carrier.rs`, `fault.rs`, `limits.rs` | what the room needs, how it refuses, and how much it holds |

mod address;
mod carrier;
mod envelope;
mod fault;
mod leader;
mod limits;
mod note;
mod requests;
mod resume;
mod roles;
mod routing;
mod sharing;
mod switchboard;
#[cfg(test)]
mod tests;
mod values;

pub use address::Address;
pub use carrier::{Answer, Carrier, Delivery, Kind, Parcel, Turn};
pub use envelope::{Concern, concern_of};
pub use fault::{Code, Fault};
pub use leader::{Leader, Standing, View};
pub use limits::{Limits, weight};
pub use note::{Note, Waiting};
pub use routing::{Outcome, Post, Sender};
pub use switchboard::{Member, Switchboard};
pub use values::{Change, Shared};

/// Names an app while the instance lives.
pub type AppId = u32;

/// Names one process of an app; never used again.
pub type WorkerId = u64;
