//! Makes the manual page of a verb: of its definition on the command line, and of what `text.rs` adds.

use super::text;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// Makes `roff`'s apostrophes straight for every formatter.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// What the page is called: `stead-start`.
pub(super) fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page's source. The command has been built.
pub(super) fn page(command: &Command) -> String {
    // In the place of the date, which nobody knows: pages of one version are the same wherever they are made.
    let version = format!("stead {}", env!("CARGO_PKG_VERSION"));
    // The forms of the line as `--help` shows them.
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    let man = Man::new(command.clone().subcommand_help_heading("VERBS").override_usage(usage))
        .title(name(command).to_uppercase())
        .date(version)
        .source("Stead")
        .manual("Stead Manual");
    let mut page = Vec::new();
    let written = man
        .render_title(&mut page)
        .and_then(|()| man.render_name_section(&mut page))
        .and_then(|()| man.render_synopsis_section(&mut page))
        .and_then(|()| description(command).to_writer(&mut page))
        .and_then(|()| man.render_options_section(&mut page))
        .and_then(|()| match command.has_subcommands() {
            true => man.render_subcommands_section(&mut page),
            false => Ok(()),
        })
        .and_then(|()| rest(command).to_writer(&mut page));
    written.expect("memory takes what is written");
    // Each part begins with what one of them is enough for.
    let page = String::from_utf8_lossy(&page).into_owned();
    format!("{PREAMBLE}{}", page.replace(PREAMBLE, ""))
}

fn description(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["DESCRIPTION"]);
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    roff.text([roman(format!("{}.", about.trim_end_matches('.')))]);
    for paragraph in text::more(name(command)) {
        roff.control("PP", []);
        roff.text([roman(*paragraph)]);
    }
    let aliases: Vec<&str> = command.get_visible_aliases().collect();
    if !aliases.is_empty() {
        roff.control("PP", []);
        roff.text([roman("Also "), bold(aliases.join(", ")), roman(".")]);
    }
    roff
}

/// What follows the options.
fn rest(command: &Command) -> Roff {
    let (mut roff, name) = (Roff::new(), name(command));
    after_help(&mut roff, command);
    roff.control("SH", ["EXIT STATUS"]);
    for code in text::codes(name) {
        item(&mut roff, &u8::from(*code).to_string(), code.meaning());
    }
    section(&mut roff, "ENVIRONMENT", text::environment(name));
    section(&mut roff, "FILES", text::files(name));
    roff.control("SH", ["SEE ALSO"]);
    let pages: Vec<String> = text::see_also(name).iter().map(|page| format!("{page}(1)")).collect();
    roff.text([roman(pages.join(", "))]);
    roff
}

/// Examples and hints, line by line as they are.
fn after_help(roff: &mut Roff, command: &Command) {
    let Some(text) = command.get_after_help().map(ToString::to_string) else { return };
    let (heading, lines) = match text.strip_prefix("Examples:\n") {
        Some(examples) => ("EXAMPLES", examples),
        None => ("NOTES", text.as_str()),
    };
    roff.control("SH", [heading]);
    roff.control("nf", []);
    for line in lines.lines() {
        roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
    }
    roff.control("fi", []);
}

fn section(roff: &mut Roff, heading: &str, items: &[(&str, &str)]) {
    if !items.is_empty() {
        roff.control("SH", [heading]);
        items.iter().for_each(|(term, text)| item(roff, term, text));
    }
}

fn item(roff: &mut Roff, term: &str, text: &str) {
    roff.control("TP", []);
    roff.text([bold(term)]);
    roff.text([roman(text)]);
}
