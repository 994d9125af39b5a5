//! The keeper with real processes: a puppet daemon (`tests/support/puppet.rs`) does what each test tells it, and the
//! test watches from outside. Everything waits for an event; the limits of those waits only end a hanging test.

#[path = "../support/commands.rs"]
mod commands;
mod daemon_deaths;
mod harness;
mod identity;
mod limits;
mod reaping;
mod resuming;
mod service;
mod signals;
mod spawning;
mod upgrading;
