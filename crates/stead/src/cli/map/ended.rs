//! What becomes of tasks that have ended: their results go to the journal, then in their order to the output; failures are told.
//!
//! Only what is in the journal goes out, so that a run that resumes never finds a result in the output that it knows nothing of.

use bytes::Bytes;
use stead_jobs::{Fault, Finish, Outcome};

use super::batch::Batch;
use super::failures::Failure;
use super::protocol::{Format, is_json, result_line};
use super::results::Piece;
use super::resume::{self, Stored};
use crate::cli::Report;

/// A task that has ended.
pub(super) struct End {
    pub(super) task: u64,
    pub(super) line: u64,
    /// Only of one that failed.
    pub(super) input: Bytes,
    pub(super) result: Result<Vec<u8>, Failure>,
}

impl Batch<'_> {
    pub(super) fn finished(&mut self, finish: Finish) -> Result<(), Report> {
        let line = self.state.line_numbers.remove(&finish.task).expect("each task was a line");
        let task = finish.task - 1;
        if matches!(finish.outcome, Outcome::Done(_) | Outcome::Failed(Fault::Told(_))) {
            self.crew.answered();
        }
        if let Some(failure) = Failure::of(&finish.outcome, finish.attempts) {
            return self.close(End { task, line, input: finish.input, result: Err(failure) });
        }
        let Outcome::Done(result) = finish.outcome else { return Ok(()) };
        let mut bytes = Vec::with_capacity(result.len() + 1);
        if self.crew.is_each() {
            bytes.extend_from_slice(&result);
            if !result.is_empty() && !result.ends_with(b"\n") {
                bytes.push(b'\n');
            }
        } else {
            let format = self.format.expect("the first line has shown it");
            result_line(&result, format, self.crew.speaks_json(), &mut bytes);
        }
        self.close(End { task, line, input: finish.input, result: Ok(bytes) })
    }

    /// What has ended is told to the journal first.
    pub(super) fn close(&mut self, end: End) -> Result<(), Report> {
        match &end.result {
            Ok(_) => self.state.tally.done += 1,
            Err(_) => self.state.tally.failed += 1,
        }
        let Some(book) = &mut self.book else { return self.out(end) };
        let record = match &end.result {
            Ok(bytes) => resume::done(end.task, &end.input, bytes),
            Err(failure) => resume::failed(end.task, &end.input, failure),
        };
        let number = book.writer.append(&record);
        book.pending.push_back((number, end));
        Ok(())
    }

    /// The journal has it: it may go out.
    pub(super) fn noted(&mut self, number: u64) -> Result<(), Report> {
        while let Some(book) = &mut self.book
            && book.pending.front().is_some_and(|(pending, _)| *pending <= number)
            && let Some((_, end)) = book.pending.pop_front()
        {
            self.out(end)?;
        }
        Ok(())
    }

    fn out(&mut self, end: End) -> Result<(), Report> {
        match end.result {
            Ok(bytes) => self.release(end.task, Piece::Bytes(bytes)),
            Err(failure) => {
                self.report_failure(end.line, &end.input, &failure)?;
                self.release(end.task, Piece::Nothing)
            }
        }
    }

    pub(super) fn release(&mut self, task: u64, piece: Piece) -> Result<(), Report> {
        let (out, stored) = (&mut self.state.out, self.book.as_ref().map(|book| &book.stored));
        let mut written = Ok(());
        self.results.end(task, piece, |piece| {
            if let Err(error) = copy(piece, stored, out) {
                written = Err(error);
            }
        });
        written
    }

    /// What an earlier run has computed and not written.
    pub(super) fn write_missing(&mut self) -> Result<(), Report> {
        let Some(book) = &mut self.book else { return Ok(()) };
        self.results.begin_at(book.resumption.next);
        for piece in std::mem::take(&mut book.resumption.missing) {
            copy(&piece, Some(&book.stored), &mut self.state.out)?;
            self.writer.write(std::mem::take(&mut self.state.out));
        }
        Ok(())
    }

    pub(super) fn report_failure(
        &mut self,
        line: u64,
        input: &[u8],
        failure: &Failure,
    ) -> Result<(), Report> {
        let format = self.format.unwrap_or(Format::Text);
        // What is no JSON is told as the text that it is.
        let format = if is_json(input) { format } else { Format::Text };
        if let Some(words) = self.failures.add((line, input), format, failure)? {
            self.output.words(&words);
        }
        Ok(())
    }
}

fn copy(piece: &Piece, stored: Option<&Stored>, out: &mut Vec<u8>) -> Result<(), Report> {
    match (piece, stored) {
        (Piece::Bytes(bytes), _) => out.extend_from_slice(bytes),
        (Piece::Stored { offset, length }, Some(stored)) => stored.read(*offset, *length, out)?,
        (Piece::Nothing | Piece::Stored { .. }, _) => (),
    }
    Ok(())
}
