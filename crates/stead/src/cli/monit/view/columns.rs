//! Tables that lose columns before they lose their form. The first column takes what is left of the width.

use ratatui::text::Span;

/// A column: its head, its width (the least, for the first), whether it holds numbers, and how soon it is given up (higher
/// goes first, 0 stays).
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    head: &'static str,
    width: u16,
    number: bool,
    expendable: u8,
}

/// Columns that fit, with their widths.
#[derive(Clone, Debug)]
pub(super) struct Fitted {
    columns: Vec<(usize, Column)>,
}

/// The first column gets no wider than this: names far away from their numbers are hard to follow.
const FIRST_WIDTH_MAX: u16 = 32;

pub(super) const fn words(head: &'static str, width: u16, expendable: u8) -> Column {
    Column { head, width, number: false, expendable }
}

pub(super) const fn number(head: &'static str, width: u16, expendable: u8) -> Column {
    Column { head, width, number: true, expendable }
}

/// Those columns that fit into a width, at least those that are not expendable.
pub(super) fn fit(columns: &[Column], width: u16) -> Fitted {
    let mut kept: Vec<(usize, Column)> = columns.iter().copied().enumerate().collect();
    let needed = |kept: &[(usize, Column)]| -> u16 {
        kept.iter().map(|(_, column)| column.width + 1).sum::<u16>().saturating_sub(1)
    };
    while needed(&kept) > width {
        let first_to_go = kept.iter().copied().max_by_key(|(_, column)| column.expendable);
        match first_to_go.filter(|(_, column)| column.expendable > 0) {
            Some((gone, _)) => kept.retain(|(index, _)| *index != gone),
            None => break,
        }
    }
    let spare = width.saturating_sub(needed(&kept));
    if let Some((_, first)) = kept.first_mut() {
        first.width = (first.width + spare).min(FIRST_WIDTH_MAX.max(first.width));
    }
    Fitted { columns: kept }
}

impl Fitted {
    /// The heads, in the form of a row.
    pub(super) fn head(&self) -> String {
        let heads: Vec<String> = self.columns.iter().map(|(_, column)| cell(column.head, column)).collect();
        heads.join(" ")
    }

    /// The cells of a row that are shown, each as wide as its column; with their indexes among all.
    pub(super) fn cells<'a>(&'a self, row: &'a [String]) -> impl Iterator<Item = (usize, String)> + 'a {
        self.columns.iter().map(|(index, column)| match index {
            // Names differ at their ends.
            0 => (0, cell(&shorten_inside(&row[0], column.width.into()), column)),
            index => (*index, cell(&row[*index], column)),
        })
    }
}

fn cell(text: &str, column: &Column) -> String {
    let width = usize::from(column.width);
    let text = shorten(text, width);
    let space = " ".repeat(width.saturating_sub(Span::raw(&*text).width()));
    if column.number { space + &text } else { text + &space }
}

/// A text that is at most so many columns wide; what is missing at the end is shown.
pub(super) fn shorten(text: &str, width: usize) -> String {
    if Span::raw(text).width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for character in text.chars() {
        short.push(character);
        if Span::raw(&*short).width() >= width {
            short.pop();
            break;
        }
    }
    if width > 0 {
        short.push('~');
    }
    short
}

/// The same, but what is missing is in the middle.
fn shorten_inside(text: &str, width: usize) -> String {
    if Span::raw(text).width() <= width {
        return text.to_owned();
    }
    let head = shorten(text, width.div_ceil(2));
    let room = width.saturating_sub(Span::raw(&*head).width());
    let starts = text.char_indices().map(|(start, _)| start);
    let tail = starts.map(|start| &text[start..]).find(|tail| Span::raw(*tail).width() <= room);
    head + tail.unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] =
        [words("name", 6, 0), number("cpu", 4, 1), words("state", 7, 2), number("pid", 5, 0)];

    fn row(width: u16) -> String {
        let fitted = fit(&COLUMNS, width);
        let cells = ["a long name", "12%", "ready", "77"].map(str::to_owned);
        let cells: Vec<String> = fitted.cells(&cells).map(|(_, cell)| cell).collect();
        format!("{}\n{}", fitted.head(), cells.join(" "))
    }

    #[test]
    fn columns_are_given_up_in_order() {
        let check = |width, expected: &str| assert_eq!(row(width), expected, "{width}");
        check(25, "name    cpu state     pid\na ~ame  12% ready      77");
        check(30, "name         cpu state     pid\na long name  12% ready      77");
        check(24, "name           cpu   pid\na long name    12%    77");
        check(12, "name     pid\na ~ame    77");
        check(5, "name     pid\na ~ame    77");
    }

    #[test]
    fn texts_are_shortened_by_their_width() {
        let check = |text: &str, width, expected: &str| assert_eq!(shorten(text, width), expected);
        check("shop", 4, "shop");
        check("shop", 3, "sh~");
        check("shop", 1, "~");
        check("shop", 0, "");
        // Two columns each.
        check("漢字漢字", 5, "漢字~");
        check("漢字漢字", 4, "漢~");
        let check = |text: &str, width, expected: &str| assert_eq!(shorten_inside(text, width), expected);
        check("a-long-name-20.3", 16, "a-long-name-20.3");
        check("a-long-name-20.3", 10, "a-lo~-20.3");
        check("漢字漢字", 5, "漢~字");
        check("shop", 1, "~");
        check("shop", 0, "");
    }
}
