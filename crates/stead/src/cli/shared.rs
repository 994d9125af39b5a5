//! `stead shared`: the values that the workers of an app share; one of them; a new one.

use super::fleet::Fleet;
use super::output::Output;
use super::table::{draw, number, words};
use super::{ExitCode, Report, TargetArguments, session};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use stead_control::{RuntimeDirectory, SharedValue};

/// The arguments of `stead shared`.
#[derive(Args, Clone, Debug, Default)]
#[command(
    after_help = "Examples:\n  stead shared shop\n  stead shared shop usersCount\n  stead shared shop prices '{\"tea\": 3}'"
)]
pub struct SharedArguments {
    /// The app
    #[arg(value_name = "APP")]
    pub app: String,

    /// Only this value
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    /// Set it to this, as JSON; all workers are told
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    pub value: Option<String>,

    /// Forget it
    #[arg(long, requires = "name", conflicts_with = "value")]
    pub unset: bool,

    /// Print JSON: values by name, each with its version
    #[arg(long)]
    pub json: bool,

    /// The running instance
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Carries it out.
pub fn execute(arguments: &SharedArguments) -> ExitCode {
    session::run(async |directory, output| shared(arguments, directory, output).await)
}

pub(super) async fn shared(
    arguments: &SharedArguments,
    directory: &RuntimeDirectory,
    output: &mut Output,
) -> Result<ExitCode, Report> {
    let value = arguments.value.as_deref().map(|text| super::send::parse("value", text)).transpose()?;
    let fleet = Fleet::running(&arguments.target, directory, output).await?;
    let aim = fleet.one_app(&arguments.app)?;
    let app = &aim.app.name;
    if let (Some(name), true) = (&arguments.name, value.is_some() || arguments.unset) {
        let version = aim.client.share(app, name, value).await?;
        match arguments.json {
            true => output.data(&format!("{:#}\n", json!({ "version": version }))),
            false => output.words(&format!("`{name}` of {app} is of version {version}")),
        }
        return Ok(ExitCode::Ok);
    }
    let mut values = aim.client.shared_values(app).await?;
    if let Some(name) = &arguments.name {
        values.retain(|known, _| known == name);
        if values.is_empty() {
            return Err(Report::new(ExitCode::Failure, format!("app `{app}` has no shared value `{name}`"))
                .hint(format!("`stead shared {app}` shows those it has")));
        }
    }
    match (arguments.json, &arguments.name) {
        (true, _) => output.data(&format!("{:#}\n", json!(values))),
        (false, Some(_)) => values.values().for_each(|value| output.data(&format!("{:#}\n", value.data))),
        (false, None) if values.is_empty() => output.words(&format!("{app} shares no values")),
        (false, None) => output.data(&shown(&values, output.columns())),
    }
    Ok(ExitCode::Ok)
}

fn shown(values: &BTreeMap<String, SharedValue>, columns: u16) -> String {
    let row = |(name, value): (&String, &SharedValue)| {
        [name.clone(), value.version.to_string(), one_line(&value.data)]
    };
    let rows: Vec<_> = values.iter().map(row).collect();
    format!("{}\n", draw(&[words("name", 0), number("version", 1), words("value", 0)], &rows, columns))
}

/// Enough of a value to recognise it.
fn one_line(value: &Value) -> String {
    const CHARACTERS_MAX: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_a_table() {
        let value = |version, data| SharedValue { version, data };
        let values = BTreeMap::from([
            ("users".to_owned(), value(12, json!(7))),
            ("text".to_owned(), value(3, json!("x".repeat(99)))),
        ]);
        let long = format!("\"{}...", "x".repeat(59));
        let text = format!("name   version  value\ntext         3  {long}\nusers       12  7\n");
        assert_eq!(shown(&values, u16::MAX), text);
    }
}
