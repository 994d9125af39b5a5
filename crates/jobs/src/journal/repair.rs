//! What is done with a journal that is not whole: after a crash, which is nothing strange, and after damage, which is.

use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::batch::{self, Found};
use super::file::{Entry, Journal, JournalError, fill};

/// So many damaged files are kept beside a journal.
const ASIDE_MAX: u32 = 100;

/// Records that had been acknowledged are gone from a journal.
#[derive(Debug, thiserror::Error)]
#[error("journal `{}` was damaged at byte {offset}: {lost} bytes of it are no record any more and are skipped; the damaged file is kept as `{}`",
    path.display(), aside.display())]
pub struct Damage {
    /// The journal, with all of its records that are whole.
    pub path: PathBuf,
    /// Where the first broken batch began.
    pub offset: u64,
    /// Bytes that were left out, behind that.
    pub lost: u64,
    /// The file as it was found.
    pub aside: PathBuf,
}

impl Journal {
    /// Brings what stands behind the last whole batch in order, and shows the records that are whole in there to `each`. Damage is an error
    /// unless it `is_mended`.
    pub(super) fn recover(
        &mut self,
        is_mended: bool,
        each: &mut impl FnMut(Entry<'_>),
    ) -> Result<Option<Damage>, JournalError> {
        let rest = self.read_rest().map_err(|source| self.failed(source))?;
        let (offset, found) = (self.length, batch::scan(&rest));
        if found.broken == 0 && found.records.is_empty() {
            // Zeros that wait to be written over.
            self.allocated = offset + rest.len() as u64;
            return Ok(None);
        }
        self.torn = found.broken;
        let damage = match (found.goes_on, is_mended) {
            (true, false) => return Err(JournalError::Damaged { path: self.path.clone(), offset }),
            (true, true) => {
                let aside = self.keep_aside().map_err(|source| self.failed(source))?;
                Some(Damage { path: self.path.clone(), offset, lost: found.broken, aside })
            }
            (false, _) => None,
        };
        if found.records.is_empty() {
            self.cut_off().map_err(|source| self.failed(source))?;
            return Ok(damage);
        }
        let places = self.rewrite(&rest, &found).inspect_err(|_| {
            // It is found as it was the next time, and then kept.
            damage.iter().for_each(|damage| drop(std::fs::remove_file(&damage.aside)));
        })?;
        for (offset, range) in places.into_iter().zip(found.records) {
            each(Entry { offset, record: &rest[range] });
        }
        Ok(damage)
    }

    /// All that stands behind the last whole batch.
    fn read_rest(&self) -> io::Result<Vec<u8>> {
        let end = self.file.metadata()?.len();
        let mut rest = vec![0; usize::try_from(end.saturating_sub(self.length)).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut rest, self.length)?;
        Ok(rest)
    }

    fn cut_off(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.allocated = self.length;
        self.file.sync_data()
    }

    /// Puts a file in the place of this one that has all that is whole, and nothing else. Tells where the records found are in it.
    fn rewrite(&mut self, rest: &[u8], found: &Found) -> Result<Vec<u64>, JournalError> {
        let (old, whole) = (self.file.try_clone().map_err(|source| self.failed(source))?, self.length);
        let mut places = Vec::with_capacity(found.records.len());
        self.replace(|mut new| {
            (&old).rewind()?;
            io::copy(&mut (&old).take(whole), &mut new)?;
            let records = found.records.iter().map(|range| &rest[range.clone()]);
            fill(new, whole, records, |place| places.push(place))
        })?;
        Ok(places)
    }

    /// Gives the file as it is a second name, which it keeps when another is put in its place.
    fn keep_aside(&self) -> io::Result<PathBuf> {
        for number in 1..=ASIDE_MAX {
            let mut aside = self.path.clone().into_os_string();
            aside.push(format!(".damaged-{number}"));
            match std::fs::hard_link(&self.path, &aside) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
                linked => return linked.map(|()| aside.into()),
            }
        }
        Err(io::Error::other(format!("{ASIDE_MAX} damaged files stand beside it already")))
    }
}
