//! The verbs against a fake instance behind a real socket, and everything they print.

mod help;
mod verbs;
