//! How keeper and daemon are listed by `ps` and `top`.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Names this process as its command line does; one that was executed through `/proc` is `exe` or a number otherwise. To be
/// called by the main thread.
pub(super) fn name_process() {
    let program = std::env::args_os().next().map(PathBuf::from);
    let name = program.as_ref().and_then(|program| program.file_name());
    if let Some(name) = name.and_then(|name| CString::new(name.as_bytes()).ok()) {
        // Only how it is listed depends on it.
        let _ = rustix::thread::set_name(&name);
    }
}
