//! The engine against clients and workers that do what real ones seldom do, at the moments that hurt most.

mod access;
mod ends;
mod http2;
mod load;
mod moves;
mod names;
mod patience;
mod routes;
mod stand;
mod streams;
mod tls;
mod uploads;
