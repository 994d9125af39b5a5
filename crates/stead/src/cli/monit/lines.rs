//! The last lines of a log or of events: bounded, searched, scrolled. Pure.

use std::collections::VecDeque;

/// Lines kept; older ones are in the log files.
pub(super) const LINES_MAX: usize = 2000;

/// Characters of a line that are kept: more than any screen shows.
const LINE_CHARS_MAX: usize = 1000;

/// A line and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// In front of it: a time, a worker.
    pub(super) origin: String,
    /// What it says; no control characters.
    pub(super) text: String,
    /// Worth a second look: standard error, a crash.
    pub(super) loud: bool,
}

/// Lines, and which of them are looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    kept: VecDeque<Line>,
    /// Lines below the last one shown; 0 follows.
    behind: usize,
    filter: String,
}

impl Lines {
    pub(super) fn push(&mut self, line: Line) {
        // Who reads older lines wants them to stay where they are.
        if self.behind > 0 && self.matches(&line) {
            self.behind += 1;
        }
        self.kept.push_back(line);
        if self.kept.len() > LINES_MAX {
            self.kept.pop_front();
        }
        self.behind = self.behind.min(self.last_behind());
    }

    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.behind = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Only lines with this text in them are shown, large or small letters.
    pub(super) fn set_filter(&mut self, filter: &str) {
        self.filter = filter.to_lowercase();
        self.behind = 0;
    }

    /// Looks at older lines (more than 0) or newer ones.
    pub(super) fn scroll(&mut self, by: isize) {
        self.behind = self.behind.saturating_add_signed(by).min(self.last_behind());
    }

    /// Looks at the newest lines and follows them.
    pub(super) fn follow(&mut self) {
        self.behind = 0;
    }

    /// Looks at the oldest lines.
    pub(super) fn oldest(&mut self) {
        self.behind = self.last_behind();
    }

    /// How many lines there are below the last one shown.
    pub(super) fn behind(&self) -> usize {
        self.behind
    }

    /// What fits on so many rows, oldest first.
    pub(super) fn page(&self, rows: usize) -> Vec<&Line> {
        let newest_first = self.kept.iter().rev().filter(|line| self.matches(line));
        // Scrolled to the end, the page is still full.
        let matching = newest_first.clone().count();
        let skip = self.behind.min(matching.saturating_sub(rows));
        let mut page: Vec<&Line> = newest_first.skip(skip).take(rows).collect();
        page.reverse();
        page
    }

    fn matches(&self, line: &Line) -> bool {
        self.filter.is_empty()
            || line.text.to_lowercase().contains(&self.filter)
            || line.origin.to_lowercase().contains(&self.filter)
    }

    fn last_behind(&self) -> usize {
        self.kept.iter().filter(|line| self.matches(line)).count().saturating_sub(1)
    }
}

/// Text that moves no cursor and changes no colour, whatever a program printed: escape sequences are left out, tabs become
/// spaces, other control characters a dot.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len().min(LINE_CHARS_MAX));
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => skip_escape(&mut characters),
            '\t' => plain.push_str("    "),
            character if character.is_control() => plain.push('.'),
            character => plain.push(character),
        }
        if plain.len() >= LINE_CHARS_MAX {
            break;
        }
    }
    plain
}

/// What follows an escape character: `[31m`, `]0;title` up to its end, or one character.
fn skip_escape(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match characters.next() {
        Some('[') => while characters.next().is_some_and(|character| !('@'..='~').contains(&character)) {},
        Some(']') => {
            while let Some(character) = characters.next() {
                match character {
                    '\u{7}' => break,
                    '\u{1b}' => {
                        characters.next();
                        break;
                    }
                    _ => (),
                }
            }
        }
        _ => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line { origin: String::new(), text: text.to_owned(), loud: false }
    }

    fn shown(lines: &Lines, rows: usize) -> String {
        lines.page(rows).iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn numbers(count: usize) -> Lines {
        let mut lines = Lines::default();
        (1..=count).for_each(|number| lines.push(line(&number.to_string())));
        lines
    }

    #[test]
    fn the_newest_lines_are_followed_until_one_scrolls() {
        let mut lines = numbers(9);
        assert_eq!(shown(&lines, 3), "7 8 9");
        lines.scroll(2);
        assert_eq!(shown(&lines, 3), "5 6 7");
        lines.push(line("10"));
        assert_eq!((shown(&lines, 3).as_str(), lines.behind()), ("5 6 7", 3));
        lines.scroll(100);
        assert_eq!(shown(&lines, 3), "1 2 3");
        lines.scroll(-100);
        assert_eq!(shown(&lines, 3), "8 9 10");
        lines.oldest();
        assert_eq!(shown(&lines, 100), "1 2 3 4 5 6 7 8 9 10");
        lines.follow();
        assert_eq!(shown(&lines, 1), "10");
        assert_eq!(shown(&lines, 0), "");
    }

    #[test]
    fn only_what_matches_is_shown() {
        let mut lines = Lines::default();
        for text in ["Error: a", "fine", "an ERROR"] {
            lines.push(line(text));
        }
        lines.push(Line { origin: "error.1".to_owned(), ..line("origin") });
        lines.set_filter("error");
        assert_eq!(shown(&lines, 9), "Error: a an ERROR origin");
        lines.scroll(5);
        lines.push(line("fine"));
        assert_eq!(lines.behind(), 2);
        lines.set_filter("");
        assert_eq!(shown(&lines, 2), "origin fine");
    }

    #[test]
    fn old_lines_go() {
        let mut lines = numbers(LINES_MAX + 5);
        assert_eq!(lines.page(usize::MAX).len(), LINES_MAX);
        lines.oldest();
        assert_eq!(shown(&lines, 1), "6");
        lines.push(line("new"));
        assert_eq!((shown(&lines, 1).as_str(), lines.behind()), ("7", LINES_MAX - 1));
    }

    #[test]
    fn what_programs_print_cannot_move_the_cursor() {
        let check = |text: &str, expected: &str| assert_eq!(plain(text), expected);
        check("\u{1b}[1;31mred\u{1b}[0m text", "red text");
        check("\u{1b}]0;title\u{7}after", "after");
        check("\u{1b}]8;;http://a\u{1b}\\link", "link");
        check("a\tb\rc\u{9b}d", "a    b.c.d");
        check("cut \u{1b}", "cut ");
        check("cut \u{1b}[12", "cut ");
        check("ümlaut 漢字", "ümlaut 漢字");
        assert!(plain(&"x".repeat(1 << 20)).len() <= LINE_CHARS_MAX);
    }
}
