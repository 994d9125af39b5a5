//! Whole stories: what workers say, and what each of them hears.

mod bench;
mod messages;
mod roles;
mod shared;
