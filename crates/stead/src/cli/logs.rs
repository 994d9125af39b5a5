//! `stead logs`: what apps printed, and what they print.

use super::output::Output;
use super::places::{Place, Places};
use super::{ExitCode, Report, TargetArguments, session};
use clap::Args;
use std::borrow::Cow;
use std::time::SystemTime;
use stead_control::RuntimeDirectory;
use stead_logs::{Follower, Matcher, Query, Reader, Record, Stream, parse_since, stamp};

/// Lines that are shown when nobody says how many.
const LINES: usize = 15;
/// Bytes that are printed at once.
const PRINT_BYTES: usize = 64 * 1024;

/// The arguments of `stead logs`.
#[derive(Args, Clone, Debug, Default)]
pub struct LogsArguments {
    /// Apps, or single workers of them (`shop.0`); all without one
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,

    /// Go on with what they print from now on
    #[arg(short, long)]
    pub follow: bool,

    /// How many of the last lines [default: 15, or all of them with --since]
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,

    /// Only what was printed on standard error
    #[arg(long, conflicts_with = "out")]
    pub err: bool,

    /// Only what was printed on standard output
    #[arg(long)]
    pub out: bool,

    /// The requests that were answered in place of what was printed (`access_log`)
    #[arg(long, conflicts_with_all = ["err", "out", "raw", "json"])]
    pub access: bool,

    /// Only what was printed since then: `10m`, `2h 30m`, `14:30`, `2026-11-21T06:00`, `2026-11-21T06:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<SystemTime>,

    /// Only lines that have this in them, or that this regular expression fits
    #[arg(long, value_name = "TEXT", value_parser = Matcher::new)]
    pub grep: Option<Matcher>,

    /// One JSON object per line
    #[arg(long, conflicts_with = "raw")]
    pub json: bool,

    /// The bare lines, without time and worker
    #[arg(long)]
    pub raw: bool,

    // Words of PM2.
    /// What happens anyway without `--follow`
    #[arg(long, hide = true, conflicts_with = "follow")]
    pub nostream: bool,

    /// What happens anyway
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "", value_parser = timestamp)]
    pub timestamp: Option<String>,

    /// Not offered
    #[arg(long, hide = true, value_parser = highlight)]
    pub highlight: Option<String>,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

impl LogsArguments {
    async fn places(&self, directory: &RuntimeDirectory) -> Result<Places, Report> {
        let places = Places::find(&self.target, directory).await?;
        Ok(if self.access { places.of_requests() } else { places })
    }
}

fn since(text: &str) -> Result<SystemTime, String> {
    parse_since(text, SystemTime::now())
}

fn timestamp(text: &str) -> Result<String, String> {
    match text {
        "" => Ok(String::new()),
        _ => Err("every line has its time, in UTC; other forms can be made of `--json`".to_owned()),
    }
}

fn highlight(_text: &str) -> Result<String, String> {
    Err("lines are chosen, not coloured: `--grep TEXT`, or `| grep --color TEXT`".to_owned())
}

/// How a line is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text { coloured: bool },
    Raw,
    Json,
}

/// Carries it out.
pub fn execute(arguments: &LogsArguments) -> ExitCode {
    session::run(async |directory, output| logs(arguments, directory, output).await)
}

pub(super) async fn logs(
    arguments: &LogsArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let places = arguments.places(directory).await?.choose(&arguments.apps)?;
    if places.is_empty() && !arguments.follow {
        return Err(Report::new(ExitCode::NotRunning, "there are no logs")
            .hint("`stead start server.js` starts a program whose output is kept"));
    }
    let form = match (arguments.json, arguments.raw || arguments.access) {
        (true, _) => Form::Json,
        (_, true) => Form::Raw,
        _ => Form::Text { coloured: output.is_coloured() },
    };
    let followed: Vec<Place> = places.clone();
    let reader =
        Reader::new(places.iter().map(|place| (place.directory.clone(), query(arguments, place.instance))));
    let reader = reader.map_err(|error| failed(&error))?;
    if !show(arguments, &reader, form, output)? || !arguments.follow {
        return Ok(ExitCode::Ok);
    }
    follow(arguments, reader.follow(), &followed, (form, directory, output)).await
}

fn query(arguments: &LogsArguments, instance: Option<u32>) -> Query {
    let stream = match (arguments.out, arguments.err) {
        (true, _) => Some(Stream::Out),
        (_, true) => Some(Stream::Err),
        _ => None,
    };
    Query { instance, stream, since: arguments.since.map(stamp), grep: arguments.grep.clone() }
}

fn failed(error: &std::io::Error) -> Report {
    Report::new(ExitCode::Failure, "failed to read the logs").cause(error.to_string())
}

/// Prints what is there; says whether anybody still reads it.
fn show(arguments: &LogsArguments, reader: &Reader, form: Form, output: &mut Output) -> Result<bool, Report> {
    let lines = match (arguments.lines, arguments.since) {
        (None, Some(_)) => None,
        (lines, _) => Some(lines.unwrap_or(LINES)),
    };
    if let Some(lines) = lines {
        return Ok(print(&reader.last(lines).map_err(|error| failed(&error))?, form, output));
    }
    let (mut text, mut is_read) = (String::new(), true);
    let all = reader.all(|record| {
        put(&record, form, &mut text);
        if text.len() > PRINT_BYTES {
            is_read = output.stream(&text);
            text.clear();
        }
        is_read
    });
    all.map_err(|error| failed(&error))?;
    Ok(is_read && output.stream(&text))
}

/// Goes on until the reader is gone, or Ctrl-C. Apps that appear later are followed as well, if all are.
async fn follow(
    arguments: &LogsArguments,
    mut follower: Follower,
    known: &[Place],
    (form, directory, output): (Form, &RuntimeDirectory, &mut Output),
) -> Result<ExitCode, Report> {
    let mut known = known.to_vec();
    loop {
        let records = follower.further().map_err(|error| failed(&error))?;
        if records.is_empty() && arguments.apps.is_empty() {
            // A quiet second is a good time to look for new ones; one that cannot be asked now can be asked later.
            let places = arguments.places(directory).await;
            for place in places.and_then(|places| places.choose(&[])).unwrap_or_default() {
                if !known.contains(&place) {
                    follower.add(&place.directory, query(arguments, place.instance));
                    known.push(place);
                }
            }
        }
        let is_read = if records.is_empty() { output.is_read() } else { print(&records, form, output) };
        if !is_read {
            return Ok(ExitCode::Ok);
        }
    }
}

fn print(records: &[Record], form: Form, output: &mut Output) -> bool {
    let mut text = String::new();
    records.iter().for_each(|record| put(record, form, &mut text));
    output.stream(&text)
}

fn put(record: &Record, form: Form, text: &mut String) {
    match form {
        Form::Json => text.push_str(&record.to_json()),
        Form::Raw => text.push_str(&record.text),
        Form::Text { coloured: false } => text.push_str(&record.to_text()),
        Form::Text { coloured: true } => {
            let Record { time, source, partial, text: line } = record;
            let (colour, mark) =
                (if source.stream == Stream::Err { 31 } else { 36 }, if *partial { '+' } else { '|' });
            let (name, line) = (source.stream.name(), harmless(line));
            text.push_str(&format!(
                "\x1b[2m{time}\x1b[0m \x1b[{colour}m{source} {name}{mark}\x1b[0m {line}\x1b[0m"
            ));
        }
    }
    text.push('\n');
}

/// What a worker printed, for a terminal: colours stay, whatever else a terminal would obey is shown and not done.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_control = |character: char| character == '\x1b' || ('\u{80}'..='\u{9f}').contains(&character);
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut harmless = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(at) = rest.find(is_control) {
        harmless.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = colour(rest);
        match length {
            Some(length) => harmless.push_str(&rest[..length]),
            None => harmless.extend(rest.chars().take(1).flat_map(char::escape_default)),
        }
        rest = &rest[length.unwrap_or_else(|| rest.chars().next().map_or(0, char::len_utf8))..];
    }
    harmless.push_str(rest);
    Cow::Owned(harmless)
}

/// The length of a colour's escape sequence, if the text begins with one: `ESC [ digits and ; m`.
fn colour(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix("\x1b[")?;
    let end = numbers.find(|character: char| !character.is_ascii_digit() && character != ';')?;
    numbers[end..].starts_with('m').then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_only_colours() {
        let check = |text: &str, expected: &str| assert_eq!(harmless(text), expected);
        check("plain ä", "plain ä");
        check("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m");
        check("\x1b[2J\x1b]0;title", "\\u{1b}[2J\\u{1b}]0;title");
        check("a\u{9b}2J\x1b", "a\\u{9b}2J\\u{1b}");
        check("\x1b[31", "\\u{1b}[31");
    }

    #[test]
    fn a_line_is_shown_as_it_was_asked_for() {
        let record = Record::parse(b"2026-11-21T06:01:02.123Z shop.0 err| \x1b[2Jboo").unwrap();
        let check = |form, expected: &str| {
            let mut text = String::new();
            put(&record, form, &mut text);
            assert_eq!(text, expected);
        };
        check(Form::Raw, "\x1b[2Jboo\n");
        check(Form::Text { coloured: false }, "2026-11-21T06:01:02.123Z shop.0 err| \x1b[2Jboo\n");
        check(
            Form::Text { coloured: true },
            "\x1b[2m2026-11-21T06:01:02.123Z\x1b[0m \x1b[31mshop.0 err|\x1b[0m \\u{1b}[2Jboo\x1b[0m\n",
        );
        check(
            Form::Json,
            "{\"type\":\"line\",\"time\":\"2026-11-21T06:01:02.123Z\",\"app\":\"shop\",\"instance\":0,\"stream\":\"stderr\",\"line\":\"\\u001b[2Jboo\"}\n",
        );
    }
}
