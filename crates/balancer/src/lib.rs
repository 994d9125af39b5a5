//! A worker's crash is not the client's problem.
//!
//! The map: [`http`] is HTTP/1.1 as pure functions over bytes. [`Pool`] holds the workers of one app's port; who gets the next
//! request is decided in `schedule.rs` with `queue.rs`, `pick/`, `shards.rs`, `window.rs`, `warming.rs`, `outlier.rs` and
//! `drain.rs`, what becomes of a failed one in `replay.rs` (all pure). A [`Site`] is what is behind a listener: the apps that
//! share it, told apart by `routes.rs`. What there is to tell about a request is collected by `access.rs`, named by `ids.rs`.
//!
//! [`Lanes`] are the threads that carry the traffic: `listener.rs` accepts, `connection.rs` serves one client, `exchange.rs` one
//! request, `upstream.rs` keeps connections to workers, `tunnel.rs` carries what was upgraded, `direct.rs` hands whole
//! connections over. What they read and write is a `stream.rs`: a socket, a session of `tls.rs` on one, or a stream of
//! `http2.rs` on either. What another proxy says about its client is taken by `proxy_protocol`. When another process takes
//! over, clients leave through `moved.rs`, and `carried.rs` knows when none is left.
//!
//! This room knows no processes, restart policies or configuration files: it is told which endpoints there are.

mod access;
mod affinity;
mod alarm;
mod buffer;
mod by_number;
mod carried;
mod challenge;
mod config;
mod connection;
mod direct;
mod drain;
mod endpoint;
mod exchange;
mod frames;
mod histogram;
pub mod http;
mod http2;
mod ids;
mod lane;
mod listener;
mod moved;
mod outlier;
mod passage;
mod pick;
mod pool;
pub mod proxy_protocol;
mod queue;
mod random;
mod replay;
mod request_body;
mod respond;
mod routes;
mod schedule;
mod shards;
mod site;
mod socket;
mod stats;
mod sticky;
mod stream;
#[cfg(test)]
mod testing;
mod tls;
mod tunnel;
mod upstream;
mod warming;
mod window;

pub use access::{Aborted, AccessEntry, AccessLog, AccessTo, Protocol};
pub use affinity::{Affinity, NoShardKey, ShardKey};
pub use challenge::PostedChallenge;
pub use config::Config;
pub use endpoint::{Death, Endpoint, EndpointId, Hand, Road};
pub use histogram::Histogram;
pub use lane::{Front, Lanes, Serving, Transport};
pub use listener::{Address, Bound};
pub use moved::Moved;
pub use outlier::Ejection;
pub use pick::{Policy, Terms};
pub use pool::{Pool, PoolEvent};
pub use proxy_protocol::{Network, NetworkError, ProxyFrom, ProxyVersion};
pub use routes::{Limiter, Miss, Pattern, PatternError, Route, Table};
pub use shards::Shard;
pub use site::{Site, Tenant};
pub use stats::{Counters, EndpointSnapshot, PoisonRecord, PoolSnapshot, Totals};
pub use sticky::{Sticky, StickyKey};
pub use tls::{CertificateFiles, ClientAuthority, Refreshed, Tls, TlsError, TlsFiles, TlsSet, Validity};
