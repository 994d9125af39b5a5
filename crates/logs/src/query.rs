//! Which lines somebody wants to see.

use crate::line::Record;
use crate::source::Stream;
use memchr::memmem::Finder;
use regex_lite::Regex;

/// Which lines of a log are wanted; all of what is said has to be true.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Only this worker's.
    pub instance: Option<u32>,
    /// Only those of this stream.
    pub stream: Option<Stream>,
    /// Only those from this time on, in the form of [`crate::stamp`].
    pub since: Option<String>,
    /// Only those with this in them.
    pub grep: Option<Matcher>,
}

impl Query {
    /// Whether a line is wanted.
    pub fn wants(&self, record: &Record) -> bool {
        self.instance.is_none_or(|instance| record.source.instance == Some(instance))
            && self.stream.is_none_or(|stream| record.source.stream == stream)
            && self.since.as_ref().is_none_or(|since| record.time >= *since)
            && self.grep.as_ref().is_none_or(|matcher| matcher.matches(&record.text))
    }
}

/// What a line has to have in it.
#[derive(Debug, Clone)]
pub enum Matcher {
    /// This text. Most searches are of this kind, and it is much faster.
    Text(Box<Finder<'static>>),
    /// Something this pattern fits.
    Pattern(Regex),
}

impl Matcher {
    /// Reads a pattern (the syntax of Rust's `regex`).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(pattern: &str) -> Result<Matcher, String> {
        let is_text = !pattern.contains(|character| r"\.+*?()|[]{}^$".contains(character));
        if is_text {
            return Ok(Matcher::Text(Box::new(Finder::new(pattern).into_owned())));
        }
        Regex::new(pattern).map(Matcher::Pattern).map_err(|error| error.to_string())
    }

    /// Whether a text has it.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Matcher::Text(finder) => finder.find(text.as_bytes()).is_some(),
            Matcher::Pattern(pattern) => pattern.is_match(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_texts_are_found() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(Matcher::new(pattern).unwrap().matches(text), expected, "{pattern} in {text}");
        };
        check("err", "an error", true);
        check("Err", "an error", false);
        check("(?i)ERR", "an error", true);
        check("^err", "an error", false);
        check("50[0-9]", "GET / 503", true);
        check("", "anything", true);
        assert!(Matcher::new("(").is_err());
    }
}
