//! `stead shards`: which worker owns which part of an app's keys, and which one a key goes to.

use super::fleet::Fleet;
use super::output::Output;
use super::table::{draw, none, number};
use super::{ExitCode, Report, TargetArguments, session};
use clap::Args;
use stead_control::{RuntimeDirectory, ShardSlot, ShardTable};

/// The arguments of `stead shards`.
#[derive(Args, Clone, Debug, Default)]
pub struct ShardsArguments {
    /// The app
    #[arg(value_name = "APP")]
    pub app: String,

    /// Only the worker that this key goes to
    #[arg(value_name = "KEY")]
    pub key: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries it out.
pub fn execute(arguments: &ShardsArguments) -> ExitCode {
    session::run(async |directory, output| shards(arguments, directory, output).await)
}

pub(super) async fn shards(
    arguments: &ShardsArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    let aim = fleet.one_app(&arguments.app)?;
    let table = aim.client.shards(&aim.app.name, arguments.key.as_deref()).await?;
    if arguments.json {
        let text = serde_json::to_string_pretty(&table).expect("numbers and text can be written");
        output.data(&format!("{text}\n"));
    } else {
        output.data(&shown(&table));
    }
    Ok(ExitCode::Ok)
}

/// All slots, or the one that was asked for.
fn shown(table: &ShardTable) -> String {
    let meant = table.slots.iter().filter(|slot| table.owner.is_none_or(|owner| owner == slot.slot));
    let row = |slot: &ShardSlot| {
        let pid = slot.pid.map_or_else(none, |pid| pid.to_string());
        [slot.slot.to_string(), format!("{:.1}%", slot.share * 100.0), pid]
    };
    let rows: Vec<_> = meant.map(row).collect();
    let drawn = draw(&[number("WORKER", 0), number("SHARE", 0), number("PID", 0)], &rows, u16::MAX);
    match table.owner {
        Some(_) => format!("{drawn}\n"),
        None => format!("{drawn}\n\nby {}\n", table.shard),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_shows_all_slots_or_the_owner_of_a_key() {
        let slot = |slot, pid| ShardSlot { slot, share: 1.0 / 3.0, pid };
        let slots = vec![slot(0, Some(4100)), slot(1, None), slot(2, Some(4102))];
        let all = ShardTable { shard: "cookie:id".to_owned(), slots, owner: None };
        let text = "WORKER  SHARE   PID\n     0  33.3%  4100\n     1  33.3%     -\n     2  33.3%  4102\n\nby cookie:id\n";
        assert_eq!(shown(&all), text);
        let one = ShardTable { owner: Some(2), ..all };
        assert_eq!(shown(&one), "WORKER  SHARE   PID\n     2  33.3%  4102\n");
    }
}
