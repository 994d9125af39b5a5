//! The daemon: what `stead run` does. It joins the rooms; each decides for itself, here they are only introduced.
//!
//! | file | does |
//! |---|---|
//! | `instance.rs` | starts everything and ends everything |
//! | `shared.rs` | what all tasks share |
//! | `registry.rs`, `definition.rs` | the apps there are, and how each was asked for |
//! | `signals.rs` | what signals ask for |
//! | `app.rs` | one task per app: performs what its supervisor decides, passes on what happens |
//! | `fleet.rs` | which app waits for which, or falls with it |
//! | `traffic.rs` | which workers get requests, and how they leave |
//! | `start.rs`, `renew.rs` | what `start`, `restart` and `reload` ask of apps |
//! | `state.rs`, `held.rs`, `resume.rs` | what outlives the daemon, and how the next one goes on with it |
//! | `relief.rs`, `successor.rs` | the change of guard when one version makes room for another |
//! | `launch.rs`, `adoption.rs`, `worker.rs` | one process: how it is started, heard, what is kept of it |
//! | `node.rs` | what a Node.js worker asks of its parent |
//! | `ports.rs` | the ports of an app, the pool behind each, and which worker serves which |
//! | `datagrams.rs` | the UDP sockets of an app, which its workers share |
//! | `listeners.rs` | the public listeners of the instance, and which apps are behind each |
//! | `probe.rs`, `notify.rs` | finds out when a program that does not speak Node's protocol is ready |
//! | `outlet.rs`, `console.rs` | what workers print, and what Stead says about them |
//! | `cron.rs`, `watch.rs` | reloads by the clock, and when files change |
//! | `schedules/` | what else an app does by the clock |
//! | `history.rs` | what is remembered of an app: ends of processes, how busy it was |
//! | `care.rs`, `sample.rs`, `recycle.rs` | what workers use, and when one has served its time |
//! | `health.rs`, `hooks.rs`, `errand.rs` | health checks, and the commands the user wants to be run |
//! | `children.rs` | which app an ended process belonged to |
//! | `operator.rs`, `status.rs`, `report.rs` | the control API's questions, and what happens |
//! | `exchange/` | messages between workers, shared values, who leads |
//! | `shards.rs` | which worker owns which part of the keys |
//! | `folder.rs` | private files: sockets, the preload |
//! | `bypass.rs` | finds a program that listens by itself |

mod access;
mod acme;
mod adoption;
mod app;
mod bypass;
mod care;
mod certificates;
mod children;
mod companion;
mod console;
mod cron;
mod datagrams;
mod definition;
mod errand;
mod exchange;
mod fleet;
mod folder;
mod health;
mod held;
mod history;
mod hooks;
mod instance;
mod launch;
mod listeners;
mod message;
mod node;
mod notify;
mod operator;
mod outlet;
mod pool;
mod ports;
mod probe;
mod recycle;
mod registry;
mod relief;
mod renew;
mod report;
mod resume;
mod sample;
mod schedules;
mod settings;
mod shards;
mod shared;
mod signals;
mod start;
mod state;
mod status;
mod successor;
mod traffic;
mod watch;
mod worker;

pub use definition::settings_of;
pub use folder::remove_remains;
pub use instance::{Purpose, decline, run};
pub use relief::formats;
