//! Whether input, output, journal and the file for failures are files of their own.
//!
//! Looked at before anything is opened for writing: what is begun anew would be emptied first, and two that write into one file write
//! over each other. Only regular files: a pipe, a terminal or `/dev/null` may be several of them.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::cli::Report;
use crate::cli::exit_code::ExitCode;

/// One file and no other: device and inode, of a file that is not there yet its folder's and its name.
type Identity = (u64, u64, Option<OsString>);

/// Everything that a batch reads or writes itself.
pub(super) struct Files<'a> {
    pub(super) input: &'a File,
    pub(super) output: &'a File,
    pub(super) journal: Option<&'a Path>,
    pub(super) failures: Option<&'a Path>,
}

impl Files<'_> {
    /// # Errors
    /// Two of them are the same file.
    pub(super) fn are_distinct(&self) -> Result<(), Report> {
        let opened = |file: &File| file.metadata().ok().and_then(|metadata| regular(&metadata));
        let mut found: Vec<(String, Identity)> = Vec::new();
        for (name, identity) in [
            ("standard input".to_owned(), opened(self.input)),
            ("standard output".to_owned(), opened(self.output)),
            (named("--resume", self.journal), self.journal.and_then(named_file)),
            (named("--failures", self.failures), self.failures.and_then(named_file)),
        ] {
            let Some(identity) = identity else { continue };
            if let Some((other, _)) = found.iter().find(|(_, before)| *before == identity) {
                let message = format!("{other} and {name} are the same file");
                return Err(Report::new(ExitCode::Usage, message).hint("give each a file of its own"));
            }
            found.push((name, identity));
        }
        Ok(())
    }
}

fn named(option: &str, path: Option<&Path>) -> String {
    format!("`{option} {}`", path.unwrap_or(Path::new("")).display())
}

fn regular(metadata: &Metadata) -> Option<Identity> {
    metadata.is_file().then(|| (metadata.dev(), metadata.ino(), None))
}

/// Nothing where there is no file and can be none: whoever opens it will say so.
fn named_file(path: &Path) -> Option<Identity> {
    if let Ok(metadata) = fs::metadata(path) {
        return regular(&metadata);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let metadata = fs::metadata(folder).ok()?;
    Some((metadata.dev(), metadata.ino(), Some(path.file_name()?.to_owned())))
}
