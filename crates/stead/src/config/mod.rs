//! What `stead run` is to run: from defaults, `stead.toml` and the command line to checked [`Settings`].
//!
//! | file | holds |
//! |---|---|
//! | `settings.rs` | the result: plain data, complete |
//! | `defaults.toml` | every setting with its default and its reason |
//! | `load.rs` | the layers: defaults, file, command line |
//! | `document.rs`, `reader.rs`, `read_app.rs` | the file: values with their places, and typed reading of them |
//! | `program.rs`, `package.rs`, `interpreter.rs`, `search.rs`, `shell.rs` | what a command runs |
//! | `address.rs`, `instances.rs`, `quantity.rs` | the small languages values are written in |
//! | `error.rs`, `program_error.rs`, `suggest.rs` | what is wrong, where, and what was meant |

mod address;
mod choices;
mod document;
mod error;
mod instances;
mod interpreter;
mod load;
mod package;
mod program;
mod program_error;
mod quantity;
mod read_app;
mod reader;
mod search;
mod settings;
mod shell;
mod suggest;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

pub use address::{AddressError, ListenAddress};
pub use error::ConfigError;
pub use instances::{INSTANCES_MAX, InstanceCount, cores};
pub use load::{lanes_default, load, load_from};
pub use program_error::ProgramError;
pub use settings::{
    AppSettings, Balance, BalancerSettings, Mode, Placeholder, Program, Ready, ReadyTimeout, RestartPolicy,
    RestartSettings, Serialization, Settings, StopSettings, Upstream,
};

/// `defaults.toml`: every setting, its default and its reason.
pub const DEFAULTS: &str = include_str!("defaults.toml");
