//! The binary's own parts: the command line, the configuration and the daemon. `main.rs` chooses between them.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod files;
