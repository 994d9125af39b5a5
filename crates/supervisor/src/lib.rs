//! What should run, runs; what keeps failing is reported, not hidden.
//!
//! The map: [`App`] is the machine of one application: its slots, scaling, rolling reload and stop. Inside it `slot.rs` keeps one
//! place filled, `worker.rs` is the life of one process, `reload.rs` goes from slot to slot, `recycle.rs` replaces a single worker,
//! `restart.rs` decides what follows a death and `backoff.rs` how long to wait. `saved.rs` is what [`App::save`] writes down for
//! [`App::resume`]. [`Input`], [`Action`] and [`Event`] are all that goes in and comes out. [`fleet`] is the machine above: which
//! application waits for which, and which fall together.
//!
//! Everything here is pure: no clock is read, no task started, no descriptor held. The driver passes `now`, performs each
//! [`Action`] and calls back with what happened:
//!
//! ```
//! # use std::time::{Duration, Instant};
//! # use stead_supervisor::{Action, App, AppConfig, Input, ReadyTimeout, Restart};
//! # let config = AppConfig { instances: 1, restart: Restart::Permanent, stop_exit_codes: vec![], backoff_first: Duration::from_millis(100),
//! #     backoff_max: Duration::from_secs(5), stable_after: Duration::from_secs(1), restarts_max: 10,
//! #     restarts_period: Duration::from_secs(60), cool_down: Duration::from_secs(60), ready_timeout: Duration::from_secs(30),
//! #     on_ready_timeout: ReadyTimeout::Fail, grace: Duration::from_secs(30), terminate_after: Duration::from_secs(5),
//! #     kill_after: Duration::from_secs(5), reload_parallel: 1, health_replace_after: Duration::from_secs(30) };
//! let now = Instant::now();
//! let mut app = App::new(config, 1);
//! app.handle(now, Input::Start);
//! assert_eq!(app.poll_action(), Some(Action::Spawn { worker: 1, slot: 0 }));
//! app.handle(now, Input::Started { worker: 1, pid: 4711 });
//! app.handle(now, Input::Ready { worker: 1 });
//! // Now come Route { worker: 1 } and the events; wait for the next input until app.poll_timeout().
//! ```
//!
//! This room knows nothing of sockets, requests, Node.js or how a process is started.

mod announce;
mod app;
mod backoff;
mod config;
mod event;
mod exit;
pub mod fleet;
mod moment;
mod reason;
mod recycle;
mod reload;
mod restart;
mod saved;
mod slot;
mod snapshot;
mod turn;
mod worker;

pub use app::App;
pub use config::{AppConfig, ReadyTimeout};
pub use event::{Action, Event, Input, Next, Readiness, Recycle, WorkerId};
pub use exit::ExitKind;
pub use reason::Reason;
pub use restart::Restart;
pub use saved::SavedApp;
pub use snapshot::{
    AppSnapshot, Phase, RecycleSnapshot, ReloadSnapshot, SlotSnapshot, SlotState, WorkerSnapshot,
};
