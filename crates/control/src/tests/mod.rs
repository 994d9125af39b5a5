//! Server and client together over a real socket, and the API as others see it.

mod api;
mod connections;
mod metrics;
mod operator;
mod pools;
mod workers;
