//! `stead scale`: changes the number of workers of an app.

use super::fleet::{Aim, Fleet};
use super::output::Output;
use super::{ExitCode, Report, TargetArguments, session};
use crate::config::{INSTANCES_MAX, InstanceCount};
use clap::Args;
use std::str::FromStr;
use stead_control::RuntimeDirectory;

/// The arguments of `stead scale`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "stead scale [OPTIONS] [APP] <N>", allow_negative_numbers = true)]
pub struct ScaleArguments {
    /// The app, when there are several; then the number of workers: a number, `max`, +N (more) or -N (fewer)
    #[arg(value_name = "N", required = true, num_args = 1..=2)]
    pub words: Vec<String>,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// How many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    To(InstanceCount),
    More(u32),
    Fewer(u32),
}

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Change, String> {
        let number =
            |digits: &str| digits.parse::<u32>().map_err(|_| format!("`{text}` is not a number of workers"));
        match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(digits), _) => number(digits).map(Change::More),
            (_, Some(digits)) => number(digits).map(Change::Fewer),
            _ if text == "0" => Err("0 workers are too few: at least 1 runs".to_owned()),
            _ => text.parse().map(Change::To),
        }
    }
}

impl Change {
    fn from(self, wanted: u32) -> u32 {
        let count = match self {
            Change::To(count) => count.here(),
            Change::More(more) => wanted.saturating_add(more),
            Change::Fewer(fewer) => wanted.saturating_sub(fewer),
        };
        count.clamp(1, INSTANCES_MAX)
    }
}

/// Carries it out.
pub fn execute(arguments: &ScaleArguments) -> ExitCode {
    session::run(async |directory, output| scale(arguments, directory, output).await)
}

pub(super) async fn scale(
    arguments: &ScaleArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let (named, count) = match arguments.words.as_slice() {
        [app, count] => (std::slice::from_ref(app), count),
        [count] => (&[][..], count),
        _ => unreachable!("clap takes one or two words"),
    };
    let change: Change = count.parse().map_err(|message: String| {
        let hint = "`stead scale [APP] N`: a number from 1, `max`, `+N` or `-N`; `stead stop [APP]` ends all workers";
        Report::new(ExitCode::Usage, message).hint(hint)
    })?;
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    let aims = match named {
        [] => vec![the_only(&fleet)?],
        named => fleet.apps(named, "scale")?,
    };
    for Aim { client, app, .. } in aims {
        let wanted = app.instances.wanted;
        let instances = change.from(wanted);
        client.scale(&app.name, instances).await?;
        output.words(&format!("scaled {} from {wanted} to {}", app.name, workers(instances)));
    }
    Ok(ExitCode::Ok)
}

fn workers(count: u32) -> String {
    if count == 1 { "1 worker".to_owned() } else { format!("{count} workers") }
}

fn the_only(fleet: &Fleet) -> Result<Aim, Report> {
    let member = fleet.only()?;
    match member.status.apps.as_slice() {
        [app] => Ok(member.aim(app, None)),
        apps => {
            let names: Vec<String> = apps.iter().map(|app| format!("`{}`", app.name)).collect();
            Err(Report::new(ExitCode::Usage, "the instance has several apps")
                .hint(format!("name one of them: {}", names.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_absolute_or_relative() {
        let check = |text: &str, expected: Result<u32, &str>| {
            let actual = text.parse::<Change>().map(|change| change.from(4));
            assert_eq!(actual, expected.map_err(str::to_owned), "{text}");
        };
        check("1", Ok(1));
        check("+2", Ok(6));
        check("-1", Ok(3));
        check("-9", Ok(1));
        check("+9999", Ok(1024));
        check("max", Ok(crate::config::cores()));
        check("0", Err("0 workers are too few: at least 1 runs"));
        check("+x", Err("`+x` is not a number of workers"));
        check("few", Err("`few` is neither a number nor `max`"));
    }
}
