//! The command line: what can be typed, and the verbs that talk to a running instance.
//!
//! | file | holds |
//! |---|---|
//! | `command.rs` | every verb, and how a line is read |
//! | `run.rs`, `familiar.rs` | the arguments of `stead run` and `stead start`, also in the words of PM2 |
//! | `not_offered.rs` | words of PM2 that are known and not offered, and what to use instead |
//! | `start.rs`, `follow.rs`, `background.rs` | starting apps in the background instance, and that instance |
//! | `stop.rs`, `reload.rs`, `scale.rs`, `signal.rs`, `send.rs`, `env.rs`, `reset.rs`, `upgrade.rs` | verbs, complete |
//! | `serve.rs` | the files of a directory as an app |
//! | `map/` | a batch of tasks, without any instance |
//! | `import.rs` | files of other managers, made into a `stead.toml` |
//! | `save.rs`, `saved.rs` | apps that survive a reboot, and the file they are in |
//! | `list.rs`, `show.rs`, `numbers.rs` | what is running, for people and for scripts |
//! | `init.rs`, `config.rs` | a first file, and what may stand in it |
//! | `completions.rs`, `man/` | what shells and `man` know of all this |
//! | `monit/`, `startup/`, `doctor/` | everything live on the terminal; running again after a reboot; what is wrong here |
//! | `logs.rs`, `flush.rs`, `places.rs` | what apps printed, and where that is |
//! | `fleet.rs`, `selector.rs`, `target.rs` | which instances run, and which apps a word means |
//! | `steps.rs`, `ending.rs` | staying with what takes time, to its end |
//! | `table.rs`, `format.rs`, `secrets.rs` | how things look |
//! | `report.rs` | what a failure says |
//! | `output.rs` | the only place that prints |
//! | `exit_code.rs` | what the codes mean |

pub mod background;
mod command;
pub mod completions;
pub mod config;
pub mod doctor;
mod ending;
pub mod env;
pub mod exit_code;
pub mod familiar;
mod fleet;
pub mod flush;
mod follow;
mod format;
pub mod import;
pub mod init;
pub mod list;
pub mod logs;
pub mod man;
pub mod map;
pub mod monit;
mod not_offered;
pub mod numbers;
pub mod output;
mod places;
pub mod pool;
mod pool_view;
mod pool_wait;
pub mod reload;
mod report;
pub mod reset;
pub mod run;
pub mod save;
pub mod saved;
pub mod scale;
pub mod schedule;
mod secrets;
mod selector;
pub mod send;
pub mod serve;
mod session;
pub mod shards;
pub mod shared;
pub mod show;
pub mod signal;
pub mod start;
pub mod startup;
mod steps;
pub mod stop;
mod table;
mod target;
mod task_input;
pub mod upgrade;

#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

pub use background::BackgroundArguments;
pub use command::{Command, execute, parse, parse_run};
pub use exit_code::ExitCode;
pub use format::memory;
pub use report::{Report, in_one_line};
pub use run::RunArguments;
pub use target::TargetArguments;
