//! Draws tables. A narrow terminal gets fewer columns, never broken lines.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// A column: its head, whether it holds numbers, and how soon it is given up (higher goes first, 0 stays).
pub(super) struct Column {
    head: &'static str,
    number: bool,
    expendable: u8,
}

/// A column of words.
pub(super) const fn words(head: &'static str, expendable: u8) -> Column {
    Column { head, number: false, expendable }
}

/// A column of numbers.
pub(super) const fn number(head: &'static str, expendable: u8) -> Column {
    Column { head, number: true, expendable }
}

/// What stands where there is nothing to say.
pub(super) fn none() -> String {
    "-".to_owned()
}

/// Draws with all columns, then with fewer until it fits.
pub(super) fn draw<const N: usize>(columns: &[Column; N], rows: &[[String; N]], width: u16) -> String {
    let mut kept: Vec<usize> = (0..N).collect();
    loop {
        let text = draw_columns(columns, rows, &kept);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        let first_to_go = kept.iter().copied().max_by_key(|&index| columns[index].expendable);
        match first_to_go.filter(|&index| columns[index].expendable > 0 && widest > usize::from(width)) {
            Some(index) => kept.retain(|&other| other != index),
            None => return text,
        }
    }
}

fn draw_columns<const N: usize>(columns: &[Column; N], rows: &[[String; N]], kept: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(kept.iter().map(|&index| columns[index].head));
    for row in rows {
        table.add_row(kept.iter().map(|&index| &row[index]));
    }
    for (column, &index) in table.column_iter_mut().zip(kept) {
        let alignment = if columns[index].number { CellAlignment::Right } else { CellAlignment::Left };
        column.set_padding((0, 2)).set_cell_alignment(alignment);
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Gives the cells of the column with this head the colours that `colour` chooses for their text.
pub(super) fn paint(table: &str, head: &str, colour: impl Fn(&str) -> Option<u8>) -> String {
    let Some((before, _)) = table.lines().next().and_then(|line| line.split_once(head)) else {
        return table.to_owned();
    };
    let margin = before.chars().count();
    let paint = |line: &str| {
        let (before, rest): (String, String) =
            (line.chars().take(margin).collect(), line.chars().skip(margin).collect());
        let (cell, after) = rest.split_at(rest.find("  ").unwrap_or(rest.len()));
        match colour(cell) {
            Some(colour) => format!("{before}\x1b[{colour}m{cell}\x1b[0m{after}"),
            None => line.to_owned(),
        }
    };
    table.lines().map(paint).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [words("name", 0), number("requests", 1), words("state", 2)];

    #[test]
    fn columns_are_given_up_until_the_table_fits() {
        let rows = [["shop".to_owned(), "1".to_owned(), "up".to_owned()]];
        let check =
            |width: u16, expected: &str| assert_eq!(draw(&COLUMNS, &rows, width), expected, "{width}");
        check(80, "name  requests  state\nshop         1  up");
        check(20, "name  requests\nshop         1");
        check(4, "name\nshop");
        check(1, "name\nshop");
    }

    #[test]
    fn a_cell_is_painted_wherever_it_stands() {
        let table = "é     state  n\nshop  up     1\napi   down";
        let colour =
            |cell: &str| (cell == "up" || cell == "down").then_some(if cell == "up" { 32 } else { 31 });
        let expected = "é     state  n\nshop  \x1b[32mup\x1b[0m     1\napi   \x1b[31mdown\x1b[0m";
        assert_eq!(paint(table, "state", colour), expected);
        assert_eq!(paint(table, "pid", colour), table);
    }
}
