//! What is written down of tasks, as bytes.
//!
//! Numbers are little-endian; texts and payloads have their length before them; what may be missing has a byte before it that says
//! whether it is there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::event::{Fault, Finish, NewTask, Outcome, Retry, TaskId};
use crate::keys::Key;
use crate::saved::Saved;

/// Something that happened to a durable task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// It was accepted; or, in a compacted journal, how it stands.
    Task(Box<Saved>),
    /// It will be tried again.
    Retry(Retry),
    /// It has ended.
    Finished {
        /// Which.
        task: TaskId,
        /// How.
        outcome: Outcome,
        /// It is kept with its input.
        set_aside: bool,
    },
    /// It was set aside, and is to be tried as if it were new.
    Revived(TaskId),
    /// It was set aside, and is forgotten.
    Dropped(TaskId),
}

/// A record of whole bytes does not say what it should: it was written by another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("failed to understand a record of the journal; another version of stead may have written it")]
pub struct BadRecord;

impl From<&Finish> for Record {
    fn from(finish: &Finish) -> Self {
        Self::Finished { task: finish.task, outcome: finish.outcome.clone(), set_aside: finish.set_aside }
    }
}

impl Record {
    /// Which task it is about.
    #[must_use]
    pub fn task(&self) -> TaskId {
        match self {
            Self::Task(saved) => saved.id,
            Self::Retry(retry) => retry.task,
            Self::Finished { task, .. } | Self::Revived(task) | Self::Dropped(task) => *task,
        }
    }

    /// The record as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Vec::with_capacity(64);
        self.encode_to(&mut to);
        to
    }

    /// Adds the record as bytes.
    pub fn encode_to(&self, to: &mut Vec<u8>) {
        match self {
            Self::Task(saved) => {
                to.push(1);
                encode_saved(saved, to);
            }
            Self::Retry(retry) => {
                to.push(2);
                to.extend_from_slice(&retry.task.to_le_bytes());
                [retry.attempts, retry.failures, retry.deaths]
                    .iter()
                    .for_each(|number| to.extend_from_slice(&number.to_le_bytes()));
            }
            Self::Finished { task, outcome, set_aside } => {
                to.push(3);
                to.extend_from_slice(&task.to_le_bytes());
                to.push(u8::from(*set_aside));
                encode_outcome(outcome, to);
            }
            Self::Revived(task) => {
                to.push(4);
                to.extend_from_slice(&task.to_le_bytes());
            }
            Self::Dropped(task) => {
                to.push(5);
                to.extend_from_slice(&task.to_le_bytes());
            }
        }
    }

    /// The record in these bytes.
    ///
    /// # Errors
    ///
    /// They are not one of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let mut from = Reader(bytes);
        let record = match from.byte()? {
            1 => Self::Task(Box::new(decode_saved(&mut from)?)),
            2 => Self::Retry(Retry {
                task: from.u64()?,
                attempts: from.u32()?,
                failures: from.u32()?,
                deaths: from.u32()?,
                durable: true,
            }),
            3 => {
                let (task, set_aside) = (from.u64()?, from.byte()? != 0);
                Self::Finished { task, outcome: decode_outcome(&mut from)?, set_aside }
            }
            4 => Self::Revived(from.u64()?),
            5 => Self::Dropped(from.u64()?),
            _ => return Err(BadRecord),
        };
        if from.0.is_empty() { Ok(record) } else { Err(BadRecord) }
    }
}

fn encode_saved(saved: &Saved, to: &mut Vec<u8>) {
    let task = &saved.task;
    to.extend_from_slice(&saved.id.to_le_bytes());
    for number in [saved.attempts, saved.failures, saved.deaths] {
        to.extend_from_slice(&number.to_le_bytes());
    }
    to.extend_from_slice(&task.priority.to_le_bytes());
    maybe(to, task.key, |to, key| to.extend_from_slice(&key.number().to_le_bytes()));
    let millis = |timeout: Duration| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    maybe(to, task.timeout, |to, timeout| to.extend_from_slice(&millis(timeout).to_le_bytes()));
    maybe(to, task.retries, |to, retries| to.extend_from_slice(&retries.to_le_bytes()));
    maybe(to, task.name.as_ref(), |to, name| payload(to, name.as_bytes()));
    maybe(to, saved.outcome.as_ref(), |to, outcome| encode_outcome(outcome, to));
    to.push(u8::from(saved.set_aside));
    payload(to, &task.input);
}

fn decode_saved(from: &mut Reader<'_>) -> Result<Saved, BadRecord> {
    let id = from.u64()?;
    let (attempts, failures, deaths) = (from.u32()?, from.u32()?, from.u32()?);
    let priority = from.u32()?.cast_signed();
    let key = from.maybe(Reader::u64)?.map(Key::from_number);
    let timeout = from.maybe(Reader::u64)?.map(Duration::from_millis);
    let retries = from.maybe(Reader::u32)?;
    let name = from.maybe(Reader::payload)?;
    let name = name.map(|name| std::str::from_utf8(name).map(Arc::from)).transpose();
    let outcome = from.maybe(decode_outcome)?;
    let set_aside = from.byte()? != 0;
    let input = Bytes::copy_from_slice(from.payload()?);
    let name = name.map_err(|_| BadRecord)?;
    let task = NewTask { input, name, key, priority, timeout, retries, durable: true };
    Ok(Saved { id, task, attempts, failures, deaths, outcome, set_aside })
}

fn encode_outcome(outcome: &Outcome, to: &mut Vec<u8>) {
    let told;
    let (kind, bytes): (u8, &[u8]) = match outcome {
        Outcome::Done(result) => (1, result),
        Outcome::Failed(Fault::Told(error)) => (2, error),
        Outcome::Failed(Fault::Timeout) => (3, &[]),
        Outcome::Poison(deaths) => {
            told = encode_all(deaths);
            (4, &told)
        }
        Outcome::Cancelled => (5, &[]),
    };
    to.push(kind);
    payload(to, bytes);
}

fn decode_outcome(from: &mut Reader<'_>) -> Result<Outcome, BadRecord> {
    let (kind, bytes) = (from.byte()?, from.payload()?);
    match kind {
        1 => Ok(Outcome::Done(Bytes::copy_from_slice(bytes))),
        2 => Ok(Outcome::Failed(Fault::Told(Bytes::copy_from_slice(bytes)))),
        3 => Ok(Outcome::Failed(Fault::Timeout)),
        // A version that kept nothing of the deaths wrote nothing here, and reads over what is here now.
        4 => Ok(Outcome::Poison(decode_all(bytes)?)),
        5 => Ok(Outcome::Cancelled),
        _ => Err(BadRecord),
    }
}

fn encode_all(list: &[Bytes]) -> Vec<u8> {
    let mut to = Vec::new();
    list.iter().for_each(|bytes| payload(&mut to, bytes));
    to
}

fn decode_all(bytes: &[u8]) -> Result<Vec<Bytes>, BadRecord> {
    let (mut from, mut list) = (Reader(bytes), Vec::new());
    while !from.0.is_empty() {
        list.push(Bytes::copy_from_slice(from.payload()?));
    }
    Ok(list)
}

fn maybe<T>(to: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    to.push(u8::from(value.is_some()));
    if let Some(value) = value {
        write(to, value);
    }
}

fn payload(to: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a payload is shorter than 4 GiB");
    to.extend_from_slice(&length.to_le_bytes());
    to.extend_from_slice(bytes);
}

/// What is left to read of a record.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], BadRecord> {
        let (taken, left) = self.0.split_at_checked(count).ok_or(BadRecord)?;
        self.0 = left;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, BadRecord> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Result<u32, BadRecord> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes were taken")))
    }

    fn u64(&mut self) -> Result<u64, BadRecord> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes were taken")))
    }

    fn payload(&mut self) -> Result<&'a [u8], BadRecord> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    fn maybe<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, BadRecord>,
    ) -> Result<Option<T>, BadRecord> {
        if self.byte()? == 0 { Ok(None) } else { read(self).map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_of_deaths_comes_back_and_need_not_be_there() {
        let finished = |deaths: &[&'static str]| Record::Finished {
            task: 7,
            outcome: Outcome::Poison(deaths.iter().copied().map(Bytes::from).collect()),
            set_aside: true,
        };
        for deaths in [&["exit code 3", "", "killed by SIGSEGV"][..], &[]] {
            let bytes = finished(deaths).encode();
            assert_eq!(Record::decode(&bytes), Ok(finished(deaths)));
        }
        // As it was written when nothing was kept of deaths.
        let before = [3, 7, 0, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0];
        assert_eq!(finished(&[]).encode(), before);
    }
}
