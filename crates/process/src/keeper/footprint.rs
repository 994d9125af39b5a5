//! Keeps the keeper small while it waits, which is nearly always.
//!
//! The binary holds a whole service of which the keeper runs a few functions, now and then. The kernel maps their
//! surroundings along with them and leaves all of it counted to the process for ever. Here what can be read again from
//! the file (code and constants) is given back before each wait; what the next turn needs is mapped again from the
//! page cache, in some microseconds. Nothing is freed or written.

use std::ffi::{c_int, c_void};
use std::ptr;

/// The parts of the program and its libraries that nobody writes to.
#[derive(Debug)]
pub(super) struct Footprint {
    ranges: Vec<(usize, usize)>,
}

impl Footprint {
    #[expect(unsafe_code, reason = "no library tells where a program lies")]
    pub(super) fn find() -> Self {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        // SAFETY: the function keeps to the type it is called with, and only during this call.
        unsafe { libc::dl_iterate_phdr(Some(note), ptr::from_mut(&mut ranges).cast()) };
        Self { ranges }
    }

    /// Gives back what can be read again.
    #[expect(unsafe_code, reason = "no library advises about memory it did not map")]
    pub(super) fn shrink(&self) {
        for &(start, length) in &self.ranges {
            // Refused for what is no file (the kernel's own page) or locked, and then it stays.
            // SAFETY: these pages are mapped from a file and never written, so what comes back is what was there.
            let _ = unsafe { libc::madvise(start as *mut c_void, length, libc::MADV_DONTNEED) };
        }
    }
}

/// Called for the program and each library; notes their segments that cannot be written.
///
/// # Safety
/// As [`libc::dl_iterate_phdr`] calls it, with a `Vec<(usize, usize)>` that nobody else uses meanwhile.
#[expect(unsafe_code, reason = "reads what the dynamic linker shows")]
unsafe extern "C" fn note(info: *mut libc::dl_phdr_info, _size: usize, ranges: *mut c_void) -> c_int {
    // SAFETY: the linker lends a valid structure for this call, and `find` lends its list.
    let (info, ranges) = unsafe { (&*info, &mut *ranges.cast::<Vec<(usize, usize)>>()) };
    // SAFETY: the structure says how many headers there are.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let page = rustix::param::page_size();
    for header in
        headers.iter().filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0)
    {
        let from = (info.dlpi_addr + header.p_vaddr) as usize;
        let to = from + header.p_memsz as usize;
        let start = from - from % page;
        ranges.push((start, to.next_multiple_of(page) - start));
    }
    0
}
