//! `stead man`: shows the manual page of a verb, or writes all pages into a directory.
//!
//! `page.rs` makes a page, `text.rs` holds what the command line's own definitions do not say.

mod page;
mod text;

use super::command::CommandLine;
use super::not_offered;
use super::output::Output;
use super::{ExitCode, Report};
use crate::config::nearest;
use clap::{Args, Command, CommandFactory, ValueHint};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The arguments of `stead man`.
#[derive(Args, Clone, Debug, Default)]
#[command(
    after_help = "Examples:\n  stead man start\n  stead man config check\n  stead man start > stead-start.1\n  \
    stead man --output /usr/local/share/man/man1"
)]
pub struct ManArguments {
    /// Of this verb [default: of stead itself]. In a file or pipe it is the page's source, for man(1)
    #[arg(value_name = "VERB")]
    pub verb: Vec<String>,

    /// Write the pages of all verbs into this directory
    #[arg(short, long, value_name = "DIRECTORY", conflicts_with = "verb", value_hint = ValueHint::DirPath)]
    pub output: Option<PathBuf>,
}

/// Carries it out.
pub fn execute(arguments: &ManArguments) -> ExitCode {
    let mut output = Output::standard();
    let result = man(arguments, &mut output);
    output.finish(result)
}

fn man(arguments: &ManArguments, output: &mut Output) -> Result<ExitCode, Report> {
    let stead = stead();
    if let Some(directory) = &arguments.output {
        let count = write(&stead, directory).map_err(|error| {
            Report::new(ExitCode::Failure, format!("failed to write pages into `{}`", directory.display()))
                .cause(error.to_string())
        })?;
        output.words(&format!("wrote {count} pages into {}", directory.display()));
        return Ok(ExitCode::Ok);
    }
    let page = page::page(find(&stead, &arguments.verb)?);
    match io::stdout().is_terminal() && shown(&page).is_ok() {
        true => Ok(ExitCode::Ok),
        false => {
            output.data(&page);
            Ok(ExitCode::Ok)
        }
    }
}

/// The command line, with everything filled in that follows from the rest.
fn stead() -> Command {
    let stead = CommandLine::command().disable_help_subcommand(true).disable_help_flag(true);
    let mut stead = stead.propagate_version(false).subcommand_value_name("VERB");
    stead.build();
    stead
}

/// A verb, or the verb of a verb.
fn find<'a>(stead: &'a Command, words: &[String]) -> Result<&'a Command, Report> {
    words.iter().try_fold(stead, |command, word| {
        let found = command.find_subcommand(word).filter(|found| !found.is_hide_set());
        found.ok_or_else(|| not_offered::verb(word).unwrap_or_else(|| no_page(command, word)))
    })
}

fn no_page(command: &Command, word: &str) -> Report {
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(Command::get_name);
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let report = Report::new(ExitCode::Usage, format!("`{name}` has no verb `{word}`"));
    if word.contains('/') {
        return report.hint(format!("`stead man --output {word}` writes all pages into this directory"));
    }
    match nearest(word, verbs) {
        Some(verb) => report.hint(format!("did you mean `{verb}`?")),
        None => report.hint(format!("`{name} --help` names the verbs")),
    }
}

/// Gives a page to man(1), which shows it as it shows others.
fn shown(page: &str) -> io::Result<()> {
    let mut man = std::process::Command::new("man").args(["-l", "-"]).stdin(Stdio::piped()).spawn()?;
    // A reader who leaves early has seen enough.
    let _ = man.stdin.take().map(|mut stdin| stdin.write_all(page.as_bytes()));
    match man.wait()?.success() {
        true => Ok(()),
        false => Err(io::Error::other("man cannot show it")),
    }
}

/// Writes a page for everything that can be typed; says how many.
fn write(command: &Command, directory: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join(format!("{}.1", page::name(command))), page::page(command))?;
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    verbs.map(|verb| write(verb, directory)).sum::<io::Result<usize>>().map(|count| count + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        page::page(find(&stead(), &words).unwrap())
    }

    #[test]
    fn pages_are_whole() {
        insta::assert_snapshot!("man_stead", source(&[]));
        insta::assert_snapshot!("man_start", source(&["start"]));
        insta::assert_snapshot!("man_config_check", source(&["config", "check"]));
        assert_eq!(source(&["ls"]), source(&["list"]));
    }

    #[test]
    fn a_verb_that_is_none_is_explained() {
        let explain = |word: &str| find(&stead(), &[word.to_owned()]).unwrap_err().to_string();
        assert!(explain("strat").contains("did you mean `start`?"));
        assert!(explain("/usr/share/man").contains("--output /usr/share/man"));
        assert!(explain("deploy").contains("not offered"));
        assert!(explain("daemon").contains("no verb"));
    }

    #[test]
    fn every_verb_has_a_page_and_all_that_a_page_names_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let count = write(&stead(), folder.path()).unwrap();
        let pages = std::fs::read_dir(folder.path()).unwrap().map(|page| page.unwrap().path());
        let pages: Vec<PathBuf> = pages.collect();
        assert_eq!(pages.len(), count);
        for page in &pages {
            let text = std::fs::read_to_string(page).unwrap().replace("\\-", "-");
            let words = text.split(|letter: char| letter.is_whitespace() || letter == ',');
            for name in words.filter_map(|word| word.strip_suffix("(1)")).filter(|name| *name != "man") {
                assert!(folder.path().join(format!("{name}.1")).is_file(), "{name} in {}", page.display());
            }
            for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "SEE ALSO"] {
                let heading = match heading.contains(' ') {
                    true => format!(".SH \"{heading}\""),
                    false => format!(".SH {heading}"),
                };
                assert!(text.contains(&heading), "{heading} in {}", page.display());
            }
        }
    }
}
