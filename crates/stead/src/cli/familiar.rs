//! Options of `stead start` and `stead run` in the words of PM2. Each is a setting of stead.toml under another name, and
//! becomes that setting; `not_offered.rs` has those that are none.

use super::run::Setting;
use crate::config::split_words;
use clap::Args;
use std::ffi::OsStr;

/// Options in the words of PM2.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Settings in the words of PM2 (each is also a key of stead.toml)")]
pub struct Familiar {
    /// Apps that belong together, as a word for verbs (`namespace`)
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,

    /// What runs the script (`interpreter`)
    #[arg(long, value_name = "PROGRAM")]
    pub interpreter: Option<String>,

    /// Its options, as one word (`interpreter_args`)
    #[arg(
        long,
        visible_alias = "node-args",
        value_name = "OPTIONS",
        allow_hyphen_values = true,
        value_parser = parse_words
    )]
    pub interpreter_args: Option<Words>,

    /// Source maps in Node.js (`interpreter_args`: --enable-source-maps)
    #[arg(long)]
    pub source_map_support: bool,

    /// Reload when files change, all of the app's or these (`watch`)
    #[arg(long, value_name = "PATHS", num_args = 0..=1, default_missing_value = "", value_delimiter = ',')]
    pub watch: Option<Vec<String>>,

    /// Files that may change without a reload (`watch_ignore`)
    #[arg(long, value_name = "PATTERNS", value_delimiter = ',')]
    pub ignore_watch: Vec<String>,

    /// Wait until files have settled: seconds, or with a unit (`watch_delay`)
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    pub watch_delay: Option<String>,

    /// Reload at these times: `0 4 * * *`; 0 means never (`cron_restart`)
    #[arg(long, visible_alias = "cron", value_name = "PATTERN")]
    pub cron_restart: Option<String>,

    /// Replace a worker that uses more memory: `300M` (`recycle_memory`)
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_memory_restart: Option<String>,

    /// Never start a worker again (`restart`: temporary)
    #[arg(long)]
    pub no_autorestart: bool,

    /// Add the app without starting it (`autostart`)
    #[arg(long)]
    pub no_autostart: bool,

    /// Before a worker that died early is started again: milliseconds, or with a unit (`backoff_first`, `backoff_max`)
    #[arg(long, value_name = "TIME", value_parser = parse_milliseconds)]
    pub restart_delay: Option<String>,

    /// Early deaths before a pause (`restarts_max`)
    #[arg(long, value_name = "N")]
    pub max_restarts: Option<u32>,

    /// Exit codes after which a worker is not started again (`stop_exit_codes`)
    #[arg(long, value_name = "CODES", num_args = 1.., value_delimiter = ',')]
    pub stop_exit_codes: Vec<u8>,

    /// A worker is ready when it says so: process.send('ready') (`ready`: message)
    #[arg(long)]
    pub wait_ready: bool,

    /// For a worker to get ready: milliseconds, or with a unit (`ready_timeout`)
    #[arg(long, value_name = "TIME", value_parser = parse_milliseconds)]
    pub listen_timeout: Option<String>,

    /// From SIGTERM to SIGKILL: milliseconds, or with a unit (`kill_after`)
    #[arg(short, long, value_name = "TIME", value_parser = parse_milliseconds)]
    pub kill_timeout: Option<String>,

    /// Slots replaced at the same time in a reload (`reload_parallel`)
    #[arg(long, value_name = "N")]
    pub parallel: Option<u32>,

    /// User to run as (`uid`)
    #[arg(short, long, visible_alias = "user", short_alias = 'u', value_name = "USER")]
    pub uid: Option<String>,

    /// Group to run as (`gid`)
    #[arg(long, value_name = "GROUP")]
    pub gid: Option<String>,

    /// Directory of the app's logs (`logs`)
    #[arg(short = 'l', long = "log", value_name = "DIRECTORY", value_parser = parse_log_directory)]
    pub log: Option<String>,

    /// Where standard output goes: only /dev/null, which means no logs (`logs`: off)
    #[arg(short = 'o', long, visible_alias = "out", value_name = "/dev/null", value_parser = parse_null)]
    pub output: Option<()>,

    /// Where standard error goes: only /dev/null, which means no logs (`logs`: off)
    #[arg(short = 'e', long, visible_alias = "err", value_name = "/dev/null", value_parser = parse_null)]
    pub error: Option<()>,

    /// Keep no logs (`logs`: off)
    #[arg(long)]
    pub disable_logs: bool,

    /// `json`: log lines as JSON objects (`log_format`)
    #[arg(long, value_name = "TYPE", value_parser = ["json", "text"])]
    pub log_type: Option<String>,
}

/// Words of a command line, in one argument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(Vec<String>);

impl Familiar {
    /// The same as settings.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let mut all = Vec::new();
        let mut put = |key: &str, value: Option<String>| {
            all.extend(value.map(|value| Setting { key: key.to_owned(), value }));
        };
        put("namespace", self.namespace.as_deref().map(text));
        put("interpreter", self.interpreter.as_deref().map(text));
        put("interpreter_args", self.interpreter_args());
        put("watch", self.watch.as_deref().map(watch));
        put("watch_ignore", list(&self.ignore_watch));
        put("watch_delay", self.watch_delay.as_deref().map(text));
        let off = |pattern: &str| text(if pattern == "0" { "off" } else { pattern });
        put("cron_restart", self.cron_restart.as_deref().map(off));
        put("recycle_memory", self.max_memory_restart.as_deref().map(text));
        put("restart", self.no_autorestart.then(|| text("temporary")));
        put("autostart", self.no_autostart.then(|| "false".to_owned()));
        put("backoff_first", self.restart_delay.as_deref().map(text));
        put("backoff_max", self.restart_delay.as_deref().map(text));
        put("restarts_max", self.max_restarts.map(|count| count.to_string()));
        let codes: Vec<String> = self.stop_exit_codes.iter().map(ToString::to_string).collect();
        put("stop_exit_codes", (!codes.is_empty()).then(|| format!("[{}]", codes.join(", "))));
        put("ready", self.wait_ready.then(|| text("message")));
        put("ready_timeout", self.listen_timeout.as_deref().map(text));
        put("kill_after", self.kill_timeout.as_deref().map(text));
        put("reload_parallel", self.parallel.map(|count| count.to_string()));
        put("uid", self.uid.as_deref().map(user));
        put("gid", self.gid.as_deref().map(user));
        put("logs", self.log.as_deref().map(text));
        let no_logs = self.disable_logs || (self.output.is_some() && self.error.is_some());
        put("logs", no_logs.then(|| text("off")));
        put("log_format", self.log_type.as_deref().map(text));
        all
    }

    fn interpreter_args(&self) -> Option<String> {
        let own = self.interpreter_args.as_ref().map_or(&[][..], |words| &words.0);
        let maps = self.source_map_support.then(|| "--enable-source-maps".to_owned());
        list(&own.iter().cloned().chain(maps).collect::<Vec<_>>())
    }
}

/// As a TOML string.
fn text(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list(words: &[String]) -> Option<String> {
    let words: Vec<String> = words.iter().map(|word| text(word)).collect();
    (!words.is_empty()).then(|| format!("[{}]", words.join(", ")))
}

/// `--watch` alone is the whole app.
fn watch(paths: &[String]) -> String {
    match paths {
        [none] if none.is_empty() => "true".to_owned(),
        paths => list(paths).unwrap_or_else(|| "true".to_owned()),
    }
}

/// A number stays one.
fn user(name: &str) -> String {
    if name.parse::<u32>().is_ok() { name.to_owned() } else { text(name) }
}

fn parse_words(line: &str) -> Result<Words, String> {
    let words = split_words(OsStr::new(line)).ok_or("a quote is not closed")?;
    Ok(Words(words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect()))
}

fn parse_milliseconds(text: &str) -> Result<String, String> {
    time(text, "ms")
}

fn parse_seconds(text: &str) -> Result<String, String> {
    time(text, "s")
}

/// A number without a unit is in `unit`.
fn time(text: &str, unit: &str) -> Result<String, String> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let given = &text[number.len()..];
    if number.parse::<f64>().is_err() || !["", "ms", "s", "m", "h", "d"].contains(&given) {
        return Err("expected a time: `500`, `500ms`, `30s`, `2m`, `1h`".to_owned());
    }
    Ok(if given.is_empty() { format!("{number}{unit}") } else { text.to_owned() })
}

/// `300M` is 300 MiB, as PM2 counts.
fn parse_size(text: &str) -> Result<String, String> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text[number.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => "B",
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        _ => "",
    };
    match number.parse::<u64>() {
        Ok(_) if !unit.is_empty() => Ok(format!("{number}{unit}")),
        _ => Err("expected a size: `300M`, `1G`, `500K`, or bytes".to_owned()),
    }
}

fn parse_null(text: &str) -> Result<(), String> {
    match text {
        "/dev/null" | "NULL" | "null" => Ok(()),
        _ => Err("both streams of an app are in one directory, so that they can be rotated together: `--log DIRECTORY` \
                  says which; `stead logs APP --err` shows one of them"
            .to_owned()),
    }
}

fn parse_log_directory(text: &str) -> Result<String, String> {
    let path = std::path::Path::new(text);
    match path.extension() {
        Some(extension) if extension == "log" || path.is_file() => {
            Err("expected a directory: the logs of an app are several files, which are rotated".to_owned())
        }
        _ if matches!(text, "/dev/null" | "NULL") => Ok("off".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::RunArguments;
    use std::ffi::OsString;

    fn settings(line: &[&str]) -> String {
        match RunArguments::from_words(line.iter().map(OsString::from)) {
            Ok(arguments) => {
                let pairs = arguments.set.iter().map(|set| format!("{}={}", set.key, set.value));
                pairs.collect::<Vec<_>>().join("; ")
            }
            Err(error) => error.render().to_string().lines().next().unwrap_or_default().to_owned(),
        }
    }

    #[test]
    fn options_of_pm2_become_settings() {
        let check = |line: &[&str], expected: &str| assert_eq!(settings(line), expected, "{line:?}");
        check(&["a.js", "--namespace", "back"], r#"namespace="back""#);
        check(
            &["a.js", "--node-args", "--expose-gc -r 'a b'"],
            r#"interpreter_args=["--expose-gc", "-r", "a b"]"#,
        );
        check(&["a.js", "--source-map-support"], r#"interpreter_args=["--enable-source-maps"]"#);
        check(&["a.js", "--interpreter=deno"], r#"interpreter="deno""#);
        check(&["a.js", "--watch"], "watch=true");
        check(&["a.js", "--watch=src,lib"], r#"watch=["src", "lib"]"#);
        check(&["a.js", "--watch", "src", "--watch-delay", "2"], r#"watch=["src"]; watch_delay="2s""#);
        check(&["a.js", "--ignore-watch", "tmp", "--ignore-watch=*.log"], r#"watch_ignore=["tmp", "*.log"]"#);
        check(&["a.js", "--watch-delay", "4000ms"], r#"watch_delay="4000ms""#);
        check(&["a.js", "--cron", "0 4 * * *"], r#"cron_restart="0 4 * * *""#);
        check(&["a.js", "--cron-restart", "0"], r#"cron_restart="off""#);
        check(&["a.js", "--max-memory-restart", "300M"], r#"recycle_memory="300MiB""#);
        check(&["a.js", "--max-memory-restart", "1000000"], r#"recycle_memory="1000000B""#);
        check(&["a.js", "--no-autorestart"], r#"restart="temporary""#);
        check(&["a.js", "--no-autostart"], "autostart=false");
        check(&["a.js", "--restart-delay", "3000"], r#"backoff_first="3000ms"; backoff_max="3000ms""#);
        check(&["a.js", "--max-restarts", "3"], "restarts_max=3");
        check(&["a.js", "--stop-exit-codes", "0", "3"], "stop_exit_codes=[0, 3]");
        check(
            &["a.js", "--wait-ready", "--listen-timeout", "10000"],
            r#"ready="message"; ready_timeout="10000ms""#,
        );
        check(&["a.js", "-k", "5s"], r#"kill_after="5s""#);
        check(&["a.js", "--uid", "www-data", "--gid", "33"], r#"uid="www-data"; gid=33"#);
        check(&["a.js", "-u", "1000"], "uid=1000");
        check(&["a.js", "-l", "/var/log/shop"], r#"logs="/var/log/shop""#);
        check(&["a.js", "-o", "/dev/null", "-e", "NULL"], r#"logs="off""#);
        check(&["a.js", "-o", "/dev/null"], "");
        check(&["a.js", "--log-type", "json"], r#"log_format="json""#);
        // What was said in Stead's own words is stronger.
        check(&["a.js", "--set", "kill_after=1s", "-k", "5s"], r#"kill_after="5s"; kill_after=1s"#);
    }

    #[test]
    fn wrong_values_are_explained() {
        let lines: [&[&str]; 7] = [
            &["a.js", "--max-memory-restart", "much"],
            &["a.js", "--kill-timeout", "soon"],
            &["a.js", "-o", "out.log"],
            &["a.js", "-l", "all.log"],
            &["a.js", "--node-args", "'open"],
            &["a.js", "--stop-exit-codes", "999"],
            &["a.js", "--log-type", "xml"],
        ];
        let texts: Vec<String> =
            lines.iter().map(|line| format!("{}\n{}\n", line.join(" "), settings(line))).collect();
        insta::assert_snapshot!("wrong_values", texts.join("\n"));
    }
}
