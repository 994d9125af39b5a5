//! A child runs as asked, is heard, and leaves nothing behind.
//!
//! The map: [`child`] is for any program that has children, [`channel`] for what they tell each other; [`keeper`] is the
//! small parent of everything, and the daemon's way to talk to it; [`spawn`] starts one child, for both; [`node`] speaks
//! Node.js's IPC channel and cluster protocol; [`cgroup`] bounds what a child may use; [`descriptors`] and [`socket`] are the
//! few system calls they need.
//!
//! This room knows nothing of applications, restart policies or requests.

pub mod cgroup;
pub mod channel;
pub mod child;
pub mod descriptors;
pub mod keeper;
pub mod node;
pub mod socket;
pub mod spawn;

pub use child::{CancelToken, Child, Command, Event, Exit, Signal, Stdio};
