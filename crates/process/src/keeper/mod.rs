//! The parent of everything.
