//! The binary's own parts: the command line and the configuration. `main.rs` joins them to the rooms.

pub mod cli;
pub mod config;
