//! Whole lines: verbs against fake instances, help, and mistakes.

mod help;
mod stage;
mod starting;
mod verbs;
