//! What the promises are tested with: the real binary in a directory of its own, a load client that accounts for every
//! request, a client that speaks raw bytes, and eyes for what is left behind.
//!
//! | file | holds |
//! |---|---|
//! | `stead.rs` | one running instance, and how it ends |
//! | `background.rs` | a user with an instance in the background |
//! | `output.rs` | what a process printed, and waiting for a line of it |
//! | `status.rs` | `stead status --json`, read |
//! | `processes.rs` | which processes belong to a test, what they are doing, signals to one of them |
//! | `terminal.rs` | a terminal whose screen can be read |
//! | `http.rs` | requests and answers as raw bytes |
//! | `http2.rs` | frames of HTTP/2, as a test wants them |
//! | `talk.rs` | the socket for workers, and what workers wrote down about what they heard |
//! | `sdk.rs` | copies that talk by the packages for Node.js and Python |
//! | `websocket.rs` | as much of a WebSocket client as an echo needs |
//! | `load.rs` | loads as the promises use them, and what has to be true of their reports |
//! | `executions.rs` | what workers wrote down about the requests they executed |
//! | `certificates.rs` | certificates and keys, and who vouches for them |
//! | `https_load.rs` | clients over https under which a server is changed |
//! | `pebble.rs` | an ACME server |
//! | `fixtures.rs` | where the programs are, and which Node.js there is |
//! | `waiting.rs` | waiting for a fact, bounded in time; whose turn it is |
//! | `ports.rs` | ports that nobody else takes meanwhile |

pub(crate) mod background;
pub(crate) mod certificates;
pub(crate) mod executions;
pub(crate) mod fixtures;
pub(crate) mod http;
pub(crate) mod http2;
pub(crate) mod https_load;
pub(crate) mod load;
pub(crate) mod output;
pub(crate) mod pebble;
pub(crate) mod ports;
pub(crate) mod processes;
pub(crate) mod sdk;
pub(crate) mod sharing;
pub(crate) mod status;
pub(crate) mod stead;
pub(crate) mod talk;
pub(crate) mod terminal;
pub(crate) mod waiting;
pub(crate) mod websocket;

pub(crate) use executions::Executions;
pub(crate) use fixtures::{fixture, node};
pub(crate) use http::{Answer, Client, get};
pub(crate) use load::{Load, ledger};
pub(crate) use stead::Stead;
pub(crate) use talk::Talk;
pub(crate) use waiting::{alone, beside, eventually, pause_between, soon};
