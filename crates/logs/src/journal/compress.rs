//! Compresses finished files, one at a time and with the lowest priority, on a thread that ends when nothing is left.

use super::files::{self, Finished, UNFINISHED};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How much nicer than everybody else: requests come first.
const NICER: i32 = 19;

/// Compresses in the background.
#[derive(Debug, Default)]
pub(super) struct Compressor {
    running: Arc<AtomicBool>,
}

impl Compressor {
    /// Compresses whatever is there to be compressed, if that is not being done already.
    pub(super) fn start(&self, directory: &Path) {
        if self.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let (running, directory) = (Arc::clone(&self.running), directory.to_owned());
        let work = move || {
            // Where that is not permitted it is done with the usual priority.
            let _usual = rustix::process::nice(NICER);
            // What cannot be compressed stays as it is, counts with its full size, and is tried again next time.
            let _as_it_is = compress_all(&directory);
            running.store(false, Ordering::Release);
        };
        let spawned = std::thread::Builder::new().name("compress".to_owned()).spawn(work);
        if spawned.is_err() {
            self.running.store(false, Ordering::Release);
        }
    }
}

fn compress_all(directory: &Path) -> io::Result<()> {
    // Newest first: the oldest are the first to be removed.
    while let Some(file) = files::finished(directory)?.into_iter().rfind(|file| !file.compressed) {
        match compress(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            result => result?,
        }
    }
    Ok(())
}

fn compress(file: &Finished) -> io::Result<()> {
    let target = file.compressed_path();
    let unfinished = target.with_added_extension(UNFINISHED);
    let result = write_compressed(&file.path, &unfinished).and_then(|()| fs::rename(&unfinished, &target));
    if result.is_err() {
        // It is not there, or not worth more than the failure itself.
        let _gone = fs::remove_file(&unfinished);
        return result;
    }
    fs::remove_file(&file.path).inspect_err(|_removed_meanwhile| {
        // Somebody has emptied the log: nothing of it may come back.
        let _gone = fs::remove_file(&target);
    })
}

fn write_compressed(from: &Path, to: &PathBuf) -> io::Result<()> {
    let mut from = File::open(from)?;
    let to = OpenOptions::new().write(true).create(true).truncate(true).mode(super::writer::MODE).open(to)?;
    let mut encoder = GzEncoder::new(to, Compression::fast());
    io::copy(&mut from, &mut encoder)?;
    encoder.finish()?;
    Ok(())
}
