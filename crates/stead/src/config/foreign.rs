//! Files that others have written: PM2's ecosystem files in all their forms, `package.json`, Procfiles.
//!
//! | file | holds |
//! |---|---|
//! | `kind.rs` | which file is which, by its name |
//! | `read.rs`, `evaluate.rs`, `evaluate.mjs` | the file as plain values; programs are evaluated by the user's own Node.js |
//! | `keys.rs` | every key of PM2, and what becomes of it |
//! | `take.rs`, `take_care.rs` | how a value of PM2's becomes one of ours: the program and its life; care, user and logs |
//! | `values.rs` | how PM2 writes times, sizes, lists |
//! | `draft.rs`, `apps.rs`, `command.rs` | what has been taken over, and what has not and why |
//! | `package.rs`, `procfile.rs` | the files that are not PM2's |
//! | `layer.rs`, `write.rs` | all of it as a layer of settings, or as a commented `stead.toml` |

mod apps;
mod command;
mod draft;
mod error;
mod evaluate;
mod keys;
mod kind;
mod layer;
mod package;
mod procfile;
mod read;
mod take;
mod take_care;
#[cfg(test)]
mod tests;
mod values;
mod write;

pub use draft::{Draft, Imported, Note, Setting, Weight, fit_name};
pub use error::ForeignError;
pub(super) use kind::{kind_of, kind_of_any};
pub(super) use layer::members;
pub use read::import;
