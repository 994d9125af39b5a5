//! The engine against clients and workers that do what real ones seldom do, at the moments that hurt most.

mod ends;
mod http2;
mod load;
mod moves;
mod routes;
mod stand;
mod streams;
mod tls;
mod uploads;
