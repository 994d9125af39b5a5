//! What can follow `stead run`. The daemon carries it out; `config` turns it into settings.
//!
//! These arguments are also the form in which apps are kept: [`RunArguments::words`] and [`RunArguments::from_words`] turn
//! them into words and back.

use super::familiar::Familiar;
use crate::config::{InstanceCount, Listen, ListenAddress, Mode};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, ValueHint};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// The arguments of `stead run`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
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

    /// Run it as a pool: its workers take tasks (`stead pool run NAME`), as many as `--instances` [default: max]
    #[arg(long, conflicts_with_all = ["listen", "mode"])]
    pub pool: bool,

    /// Public address: `8080`, `127.0.0.1:8080`, `localhost:8080`, `unix:/path` (repeatable). Not needed for Node.js
    /// servers: theirs is found out
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<Listen>,

    /// Directory to run in [default: the current one]
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub cwd: Option<PathBuf>,

    /// Environment variable for the program (repeatable); or PROFILE alone, which adds the variables of `env_PROFILE` in the
    /// configuration file
    #[arg(long, value_name = "NAME=VALUE", value_parser = environment_option())]
    pub env: Vec<EnvironmentOption>,

    /// Run the command in a shell
    #[arg(long, requires = "command")]
    pub shell: bool,

    /// What happens to connections: `http` chooses a worker per request, `direct` gives a worker the whole connection,
    /// `shared` lets all workers accept from one socket
    #[arg(long)]
    pub mode: Option<Mode>,

    /// Any other setting, as in stead.toml (repeatable); `stead config defaults` prints them all
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub set: Vec<Setting>,

    /// Read the apps from this file
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Only these apps of the file (separated by commas, repeatable)
    #[arg(long, value_name = "APP", value_delimiter = ',')]
    pub only: Vec<String>,

    /// Print JSON lines
    #[arg(long)]
    pub json: bool,

    /// Settings in other words
    #[command(flatten)]
    pub familiar: Familiar,
}

#[derive(Parser)]
#[command(name = "stead run", no_binary_name = true)]
struct Words {
    #[command(flatten)]
    arguments: RunArguments,
}

impl RunArguments {
    /// Reads the words after `stead run`.
    ///
    /// # Errors
    /// What the command line would say about them.
    pub fn from_words(words: impl IntoIterator<Item = OsString>) -> Result<RunArguments, clap::Error> {
        Words::try_parse_from(words).map(|words| words.arguments.settled())
    }

    /// The same, with all settings in their own words; those that were in them already are stronger.
    pub fn settled(mut self) -> RunArguments {
        let familiar = std::mem::take(&mut self.familiar).settings();
        self.set.splice(0..0, familiar);
        self
    }

    /// The words that mean these arguments. How an instance prints (`json`) is no part of them.
    pub fn words(&self) -> Vec<OsString> {
        let settled = self.clone().settled();
        let mut words = Vec::new();
        let mut option = |name: &str, value: &OsStr| {
            let mut word = OsString::from(format!("--{name}="));
            word.push(value);
            words.push(word);
        };
        if let Some(instances) = self.instances {
            option("instances", count(instances).as_ref());
        }
        if let Some(name) = &self.name {
            option("name", name.as_ref());
        }
        self.listen.iter().for_each(|address| option("listen", &listen(address)));
        if let Some(directory) = &self.cwd {
            option("cwd", directory.as_ref());
        }
        self.env.iter().for_each(|variable| option("env", &variable.word()));
        if let Some(mode) = self.mode {
            option("mode", mode_word(mode).as_ref());
        }
        settled.set.iter().for_each(|set| option("set", format!("{}={}", set.key, set.value).as_ref()));
        if let Some(file) = &self.config {
            option("config", file.as_ref());
        }
        self.only.iter().for_each(|app| option("only", app.as_ref()));
        words.extend(self.pool.then(|| "--pool".into()));
        words.extend(self.shell.then(|| "--shell".into()));
        words.extend(self.command.iter().cloned());
        if !self.arguments.is_empty() {
            words.push("--".into());
            words.extend(self.arguments.iter().cloned());
        }
        words
    }

    /// Variables from the command line, in order.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.env.iter().filter_map(|option| match option {
            EnvironmentOption::Variable(variable) => Some(variable),
            EnvironmentOption::Profile(_) => None,
        })
    }

    /// Which `env_PROFILE` of the file is to be added; the last one counts.
    pub fn profile(&self) -> Option<&str> {
        self.env.iter().rev().find_map(|option| match option {
            EnvironmentOption::Profile(profile) => Some(profile.as_str()),
            EnvironmentOption::Variable(_) => None,
        })
    }
}

/// What `--env` can be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvironmentOption {
    /// `NAME=VALUE`.
    Variable(Variable),
    /// `production`: the table `env_production` of the file.
    Profile(String),
}

impl EnvironmentOption {
    fn word(&self) -> OsString {
        match self {
            EnvironmentOption::Profile(profile) => profile.into(),
            EnvironmentOption::Variable(Variable { name, value }) => {
                let mut word = name.clone();
                word.push("=");
                word.push(value);
                word
            }
        }
    }
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

/// `NAME=VALUE` or the name of a profile.
pub(super) fn environment_option() -> impl TypedValueParser<Value = EnvironmentOption> {
    OsStringValueParser::new().try_map(parse_environment)
}

fn parse_environment(text: OsString) -> Result<EnvironmentOption, String> {
    let bytes = text.as_bytes();
    match bytes.iter().position(|&byte| byte == b'=') {
        Some(0) => Err("the variable has no name".to_owned()),
        Some(at) => Ok(EnvironmentOption::Variable(Variable {
            name: OsStr::from_bytes(&bytes[..at]).to_owned(),
            value: OsString::from_vec(bytes[at + 1..].to_vec()),
        })),
        None if text.is_empty() => Err("expected NAME=VALUE, or the name of a profile".to_owned()),
        None => match text.into_string() {
            Ok(profile) => Ok(EnvironmentOption::Profile(profile)),
            Err(_) => Err("expected NAME=VALUE, or the name of a profile".to_owned()),
        },
    }
}

fn count(instances: InstanceCount) -> String {
    match instances {
        InstanceCount::Exactly(count) => count.to_string(),
        InstanceCount::Max => "max".to_owned(),
        InstanceCount::Fewer(fewer) => format!("-{fewer}"),
    }
}

fn listen(listen: &Listen) -> OsString {
    let mut word = OsString::from(listen.prefix());
    match &listen.address {
        ListenAddress::Port(port) => word.push(port.to_string()),
        ListenAddress::Address(address) => word.push(address.to_string()),
        ListenAddress::Host { name, port } => word.push(format!("{name}:{port}")),
        ListenAddress::Unix(path) => {
            word.push("unix:");
            word.push(path);
        }
    }
    word
}

fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Auto => "auto",
        Mode::Http => "http",
        Mode::Direct => "direct",
        Mode::Shared => "shared",
    }
}

fn parse_setting(text: &str) -> Result<Setting, String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok(Setting { key: key.trim().to_owned(), value: value.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_survive_as_words() {
        let lines: [&[&str]; 6] = [
            &["server.js"],
            &["server.js", "-i", "max", "--name", "shop", "--", "-i", "--name=x", ""],
            &[
                "-i",
                "-1",
                "--listen",
                "8080",
                "--listen",
                "[::1]:80",
                "--listen",
                "unix:/a b",
                "--listen",
                "localhost:1",
                "--listen",
                "udp://53",
                "x",
            ],
            &["-c", "a.toml", "--only", "shop,blog", "--env", "production", "--env", "A=b=c", "--env", "E="],
            &[
                "--shell",
                "--cwd",
                "/srv",
                "--mode",
                "direct",
                "--set",
                "grace=1m",
                "--set",
                "env={A=\"b\"}",
                "a | b",
            ],
            &[],
        ];
        for line in lines {
            let arguments = RunArguments::from_words(line.iter().map(OsString::from)).unwrap();
            let again = RunArguments::from_words(arguments.words()).unwrap();
            assert_eq!(arguments, again, "{line:?}");
        }
        let not_unicode = OsString::from_vec(b"a\xff".to_vec());
        let arguments =
            RunArguments::from_words([not_unicode.clone(), "--".into(), not_unicode.clone()]).unwrap();
        assert_eq!(arguments.words(), [not_unicode.clone(), "--".into(), not_unicode]);
    }

    #[test]
    fn variables_and_profiles_share_an_option() {
        let words = ["x", "--env", "A=1", "--env", "test", "--env", "B=", "--env", "production"];
        let arguments = RunArguments::from_words(words.map(OsString::from)).unwrap();
        let names: Vec<_> = arguments.variables().map(|variable| variable.name.to_str().unwrap()).collect();
        assert_eq!((names, arguments.profile()), (vec!["A", "B"], Some("production")));
    }
}
