//! A worker's crash is not the client's problem.
pub mod http;
