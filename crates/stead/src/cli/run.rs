//! What can follow `stead run`. The daemon carries it out; `config` turns it into settings.

use crate::config::{InstanceCount, ListenAddress, Mode};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueHint};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// The arguments of `stead run`.
#[derive(Args, Clone, Debug, Default)]
#[command(
    override_usage = "stead run [OPTIONS] <SCRIPT | COMMAND>... [-- ARGUMENTS...]\n       stead run [OPTIONS] [-c FILE]",
    after_help = "Examples:\n  stead run server.js -i max\n  stead run npm start\n  \
                  stead run --listen 8000 'gunicorn api:app --bind unix:{socket}'\n  stead run -c stead.toml"
)]
pub struct RunArguments {
    /// A script (.js .mjs .cjs .ts .py .rb .php .sh), a directory with package.json, `npm run X`, or a command.
    /// Without it, the apps of stead.toml are run
    #[arg(value_name = "COMMAND", conflicts_with = "config", value_hint = ValueHint::FilePath)]
    pub command: Vec<OsString>,

    /// Arguments for the program
    #[arg(last = true, value_name = "ARGUMENTS", requires = "command")]
    pub arguments: Vec<OsString>,

    /// How many workers: a number, `max` (one per core this process may use), or -N (that many fewer than max)
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    pub instances: Option<InstanceCount>,

    /// Name of the app [default: from the script's or command's name]
    #[arg(short, long)]
    pub name: Option<String>,

    /// Public address: `8080`, `127.0.0.1:8080`, `localhost:8080`, `unix:/path` (repeatable). Not needed for Node.js
    /// servers: theirs is found out
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<ListenAddress>,

    /// Directory to run in [default: the current one]
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub cwd: Option<PathBuf>,

    /// Environment variable for the program (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = OsStringValueParser::new().try_map(|text| parse_variable(&text)))]
    pub env: Vec<Variable>,

    /// Run the command in a shell
    #[arg(long, requires = "command")]
    pub shell: bool,

    /// What happens to connections: `http` chooses a worker per request, `direct` gives a worker the whole connection
    #[arg(long)]
    pub mode: Option<Mode>,

    /// Any other setting, as in stead.toml (repeatable); `stead defaults` prints them all
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub set: Vec<Setting>,

    /// Read the apps from this file
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
}

/// One environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Not empty, without `=`.
    pub name: OsString,
    /// Anything.
    pub value: OsString,
}

/// One setting by its name in the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// For example `grace`.
    pub key: String,
    /// As in the file; quotes may be left out.
    pub value: String,
}

fn parse_variable(text: &OsStr) -> Result<Variable, String> {
    let bytes = text.as_bytes();
    match bytes.iter().position(|&byte| byte == b'=') {
        Some(0) => Err("the variable has no name".to_owned()),
        Some(at) => Ok(Variable {
            name: OsStr::from_bytes(&bytes[..at]).to_owned(),
            value: OsString::from_vec(bytes[at + 1..].to_vec()),
        }),
        None => Err("expected NAME=VALUE".to_owned()),
    }
}

fn parse_setting(text: &str) -> Result<Setting, String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok(Setting { key: key.trim().to_owned(), value: value.trim().to_owned() })
}
