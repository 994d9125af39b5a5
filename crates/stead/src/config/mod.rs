//! What `stead run` is to run: from defaults, `stead.toml` and the command line to checked [`Settings`].
//!
//! | file | holds |
//! |---|---|
//! | `settings.rs`, `settings/` | the result: plain data, complete |
//! | `defaults.toml` | every setting with its default and its reason |
//! | `load.rs`, `layers.rs` | the layers: defaults, file, command line |
//! | `around.rs` | settings of what they say together |
//! | `document.rs`, `reader.rs` | the file: values with their places, and typed reading of them |
//! | `reference.rs`, `schema.rs`, `sample.rs` | the same for people and editors: every key explained, the JSON schema, a first file |
//! | `discover.rs` | what a directory looks like it wants to run |
//! | `form.rs`, `tagged.rs`, `choices.rs` | the forms that values have |
//! | `read_pool.rs` | the keys of a pool |
//! | `read_app.rs`, `read_care.rs`, `read_choosing.rs`, `read_proxy.rs`, `read_routes.rs`, `read_schedule.rs`, `read_tls.rs`, `read_acme.rs` | the keys of an app |
//! | `sharing.rs`, `datagrams.rs`, `static_files.rs` | which apps can share an address; addresses of UDP; apps that serve files for others |
//! | `foreign/` | files that others have written: PM2's, `package.json`, Procfiles |
//! | `program.rs`, `package.rs`, `interpreter.rs`, `search.rs`, `shell.rs` | what a command runs |
//! | `address.rs`, `cron.rs`, `instances.rs`, `quantity.rs`, `signal.rs`, `users.rs` | the small languages values are written in |
//! | `error.rs`, `program_error.rs`, `suggest.rs` | what is wrong, where, and what was meant |

mod address;
mod around;
mod choices;
mod cron;
mod datagrams;
mod discover;
mod document;
mod error;
mod foreign;
mod form;
mod instances;
mod interpreter;
mod layers;
mod load;
mod package;
mod program;
mod program_error;
mod quantity;
mod read_acme;
mod read_app;
mod read_care;
mod read_choosing;
mod read_messages;
mod read_pool;
mod read_proxy;
mod read_routes;
mod read_schedule;
mod read_tls;
mod reader;
mod reference;
mod sample;
mod schema;
mod search;
mod settings;
mod sharing;
mod shell;
mod signal;
mod static_files;
mod suggest;
mod tagged;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;
mod users;

pub use address::{AddressError, Listen, ListenAddress, Scheme};
pub use cron::{parse_cron, parse_zone};
pub use discover::{Start, discover};
pub use error::ConfigError;
pub use foreign::{Draft, ForeignError, Imported, Note, Setting, Weight, fit_name, import};
pub use instances::{INSTANCES_MAX, InstanceCount, cores};
pub use load::{FILE_NAME, file_here, file_of, foreign_here, lanes_default, load, load_from, names_apps};
pub use program_error::ProgramError;
pub use quantity::parse_duration;
pub use read_tls::warning as certificate_warning;
pub use sample::sample;
pub use schema::schema;
pub use settings::{
    AccessForm, Acme, AppSettings, Balance, BalancerSettings, CatchUp, Certificate, CgroupSettings,
    ChoosingSettings, ClientCa, Dependency, DependencyCondition, Group, GroupStrategy, HealthCheck,
    HealthSettings, HookSettings, Identity, LogPlace, LogSettings, MessageSettings, Mode, Overlap,
    Placeholder, PoolSettings, Program, RateLimit, Ready, ReadyTimeout, RecycleSettings, ResourceName,
    RestartPolicy, RestartSettings, RouteSettings, ScheduleSettings, ScheduledWork, Serialization, Settings,
    SharedCommand, StopSettings, TlsSettings, TraceContext, Upstream, UpstreamProtocol, WatchSettings,
};
pub use sharing::{Claim, Conflict, conflict};
pub use signal::parse_signal;
pub use static_files::companion;

pub(crate) use program::resolve_command;
pub(crate) use read_app::check_name;
pub(crate) use shell::{join as join_words, split as split_words};
pub(crate) use suggest::nearest;

/// `defaults.toml`: every setting, its default and its reason.
pub const DEFAULTS: &str = include_str!("defaults.toml");
