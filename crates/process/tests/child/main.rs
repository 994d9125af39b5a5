//! Children as any program has them: they run as asked, are heard, and leave nothing behind.

mod events;
