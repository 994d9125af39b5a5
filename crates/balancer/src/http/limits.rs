//! How large a head may be, and the space its header fields are parsed into.

use std::mem::MaybeUninit;

use httparse::Header;

/// No head may have more header fields than this, whatever the configuration says.
pub const HEADERS_MAX: usize = 128;

/// The limits of one head. They hold for requests and for responses; a response has no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole head, with its empty last line.
    pub head_bytes_max: usize,
    /// Number of header fields; values over [`HEADERS_MAX`] mean [`HEADERS_MAX`].
    pub header_count_max: usize,
    /// Bytes of the request target.
    pub target_bytes_max: usize,
}

/// Room for the header fields of one head, on the stack and not zeroed (4 KiB).
///
/// Make one per call of a parser and drop it with the parsed head; do not keep it across an `await`.
pub struct HeaderSpace<'b> {
    headers: [MaybeUninit<Header<'b>>; HEADERS_MAX],
}

impl<'b> HeaderSpace<'b> {
    /// Empty space.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { headers: [const { MaybeUninit::uninit() }; HEADERS_MAX] }
    }

    /// The part that `limits` allow to be filled.
    #[inline]
    pub(super) fn within(&mut self, limits: &Limits) -> &mut [MaybeUninit<Header<'b>>] {
        &mut self.headers[..limits.header_count_max.min(HEADERS_MAX)]
    }
}

impl Default for HeaderSpace<'_> {
    fn default() -> Self {
        Self::new()
    }
}
