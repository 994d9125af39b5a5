//! The schema and the reader say the same about what may stand in a file.

use crate::config::document::{Place, parse};
use crate::config::layers::{Defaults, Layers};
use crate::config::schema;
use serde_json::Value;

/// What the reader says, before programs are looked for.
fn reader_accepts(text: &str) -> bool {
    let layers = Layers { defaults: Defaults::read(), flags: Vec::new(), file_name: "stead.toml".to_owned() };
    parse(text, Place::File).is_ok_and(|members| layers.file(members, Place::File(0..0)).is_ok())
}

fn schema_accepts(text: &str) -> bool {
    let value: toml::Value = toml::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let schema = schema();
    accepts(&schema, &schema, &serde_json::to_value(value).unwrap())
}

/// As much of JSON schema as `schema.rs` writes; what it does not know fails the test.
fn accepts(root: &Value, schema: &Value, value: &Value) -> bool {
    let keywords = schema.as_object().expect("a schema is an object");
    keywords.iter().all(|(keyword, rule)| match keyword.as_str() {
        "$schema" | "$defs" | "title" | "description" | "default" => true,
        "$ref" => {
            let target = rule.as_str().and_then(|path| root.pointer(path.trim_start_matches('#')));
            accepts(root, target.expect("a reference leads somewhere"), value)
        }
        "type" => match rule.as_str().unwrap() {
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("type {other}"),
        },
        "enum" => rule.as_array().unwrap().contains(value),
        "anyOf" => rule.as_array().unwrap().iter().any(|schema| accepts(root, schema, value)),
        "pattern" => value.as_str().is_none_or(|text| fits(rule.as_str().unwrap(), text)),
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
        "exclusiveMinimum" => value.as_f64().is_none_or(|number| number > rule.as_f64().unwrap()),
        "minProperties" => value.as_object().is_none_or(|keys| keys.len() as u64 >= rule.as_u64().unwrap()),
        "maxProperties" => value.as_object().is_none_or(|keys| keys.len() as u64 <= rule.as_u64().unwrap()),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| accepts(root, rule, item))),
        "required" => value.as_object().is_none_or(|keys| {
            rule.as_array().unwrap().iter().all(|key| keys.contains_key(key.as_str().unwrap()))
        }),
        // The three decide together which keys there may be; the last one is always there.
        "properties" | "patternProperties" => true,
        "additionalProperties" => {
            assert_eq!(rule, false);
            value
                .as_object()
                .is_none_or(|keys| keys.iter().all(|(key, value)| key_fits(root, schema, key, value)))
        }
        other => panic!("unknown keyword {other}"),
    })
}

fn key_fits(root: &Value, schema: &Value, key: &str, value: &Value) -> bool {
    if let Some(schema) = schema["properties"].get(key) {
        return accepts(root, schema, value);
    }
    let patterns = schema["patternProperties"].as_object();
    let fitting = patterns.and_then(|patterns| patterns.iter().find(|(pattern, _)| fits(pattern, key)));
    fitting.is_some_and(|(_, schema)| accepts(root, schema, value))
}

fn fits(pattern: &str, text: &str) -> bool {
    regex_lite::Regex::new(pattern).unwrap().is_match(text)
}

#[test]
fn every_key_of_the_defaults_is_in_the_schema_with_its_default_and_reason() {
    let (schema, defaults) = (schema(), Defaults::read());
    // Without defaults: `command` and `schedule`; `cron`, `command`, `message`, `pool` and `task`; `apps`.
    for (table, members, more) in
        [("app", &defaults.app, 2), ("schedule", &defaults.schedule, 5), ("group", &defaults.group, 1)]
    {
        for member in members {
            let property = &schema["$defs"][table]["properties"][&member.key];
            assert!(property["description"].is_string(), "{}", member.key);
            assert!(!property["default"].is_null(), "{}", member.key);
            assert!(accepts(&schema, property, &property["default"]), "{}", member.key);
        }
        let keys = schema["$defs"][table]["properties"].as_object().unwrap();
        assert_eq!(keys.len(), members.len() + more, "{table}");
    }
    for member in &defaults.pool {
        let property = &schema["$defs"]["pool"]["properties"][&member.key];
        assert!(property["description"].is_string(), "{}", member.key);
        assert!(accepts(&schema, property, &property["default"]), "{}", member.key);
    }
    assert_eq!(schema["$defs"]["pool"]["properties"]["poison_deaths_max"]["default"], 2);
    assert!(schema["$defs"]["pool"]["properties"]["listen"].is_null());
    assert_eq!(schema["properties"]["lanes"]["default"], "auto");
    assert!(schema["$defs"]["app"]["patternProperties"]["^env_."]["description"].is_string());
}

#[test]
fn whatever_the_reader_accepts_the_schema_accepts() {
    let lines = [
        "command = ['node', 'server.js']",
        "args = '--port 1 \"a b\"'",
        "schedule.nightly = { cron = '0 3 * * *', command = 'true', time_zone = 'UTC' }",
        "schedule.hourly = { cron = '@hourly', message = ['a', 1], overlap = 'queue', catch_up = 'one' }",
        "schedule.daily = { cron = '@daily', pool = 'resize', task = { all = true }, jitter = '5m' }",
        "args = ['--port', '1']",
        "env = { PORT = 8080, NAME = 'x' }",
        "env_production = { NODE_ENV = 'production' }",
        "namespace = 'shops.v2'",
        "instances = 'max'",
        "instances = '4'",
        "instances = '+4'",
        "instances = -1",
        "instances = 0",
        "listen = 8080",
        "listen = ['8080', 'unix:/run/a.sock', 9000]",
        "ports = { 9000 = 'direct' }",
        "ready = 'tcp'",
        "ready = { http = '/health' }",
        "stop_exit_codes = 3",
        "stop_exit_codes = [0, 255]",
        "grace = '1.5 s'",
        "grace = '30S'",
        "grace = '0s'",
        "stop_signal = 'SIGQUIT'",
        "depends_on = 'other'",
        "depends_on = ['other']",
        "depends_on = { other = 'completed' }",
        "recycle_memory = '300m'",
        "recycle_memory = 'off'",
        "recycle_requests = 10000",
        "watch = true",
        "watch = 'src'",
        "watch = ['src', 'lib']",
        "cron_restart = '0 3 * * *'",
        "uid = 0",
        "uid = 'root'",
        "umask = '027'",
        "limits = { nofile = 65536, core = 0, memlock = 'unlimited', as = '1GiB' }",
        "cpu_max = 1.5",
        "cpu_max = 2",
        "health = 'watchdog'",
        "health = { command = './check' }",
        "logs = '/var/log/shop'",
        "log_total_bytes_max = '1.5 GiB'",
    ];
    for line in lines {
        let start = if line.starts_with("command") { "" } else { "command = 'a'\n" };
        let text = format!("lanes = 2\n[app.shop]\n{start}{line}\n[app.other]\ncommand = 'b'\n");
        assert!(reader_accepts(&text), "the reader refuses {line}");
        assert!(schema_accepts(&text), "the schema refuses {line}");
    }
    let group = "[app.a]\ncommand = 'a'\n[group.g]\napps = ['a']\nstrategy = 'one-for-all'\n";
    assert!(reader_accepts(group) && schema_accepts(group));
    for line in
        ["size = 'max'", "size = { min = 1, max = -1 }", "concurrency = 3", "grace = '1s'", "env_a = {}"]
    {
        let pool = format!("[pool.a]\ncommand = 'a'\n{line}\n");
        assert!(reader_accepts(&pool) && schema_accepts(&pool), "{line}");
    }
    assert!(schema_accepts(include_str!("../../../../../examples/stead.toml")));
}

#[test]
fn both_refuse_what_has_the_wrong_form() {
    let lines = [
        "instnaces = 4",
        "env_ = { A = '1' }",
        "shell = 'yes'",
        "env = { A = true }",
        "namespace = 'my shops'",
        "instances = 'many'",
        "instances = 4000",
        "listen = 70000",
        "mode = 'tunnel'",
        "ports = { http = 'direct' }",
        "ready = 'http'",
        "ready = { path = '/up' }",
        "ready = { http = 'up' }",
        "restart = 'always'",
        "stop_exit_codes = [0, 256]",
        "grace = 30",
        "grace = '30 secs'",
        "untaken_max = 0",
        "body_bytes_max = 1000",
        "body_bytes_max = '1 Mio'",
        "depends_on = { other = 'redy' }",
        "recycle_memory = 'of'",
        "recycle_requests = 0",
        "watch = 1",
        "umask = 27",
        "umask = '088'",
        "limits = { nofiles = 1 }",
        "cpu_max = -0.5",
        "health = { http = '/', command = 'x' }",
        "log_format = 'xml'",
    ];
    for line in lines {
        let text = format!("[app.shop]\ncommand = 'a'\n{line}\n[app.other]\ncommand = 'b'\n");
        assert!(!reader_accepts(&text), "the reader accepts {line}");
        assert!(!schema_accepts(&text), "the schema accepts {line}");
    }
    let files = [
        "",
        "lanes = 2\n",
        "[pool.a]\ncommand = 'a'\nlisten = 80\n",
        "[pool.a]\ncommand = 'a'\nsize = { least = 1 }\n",
        "[pool.a]\nsize = 1\n",
        "lanes = 0\n[app.a]\ncommand = 'a'\n",
        "app = 'shop'\n",
        "[app]\nshop = 'a'\n",
        "[apps.shop]\ncommand = 'a'\n",
        "[app.shop]\ninstances = 2\n",
        "[app.'my shop']\ncommand = 'a'\n",
        "[app.a]\ncommand = 'a'\n[group.g]\n",
        "[app.a]\ncommand = 'a'\n[group.g]\napps = ['a']\nstrategy = 'all'\n",
    ];
    for text in files {
        assert!(!reader_accepts(text), "the reader accepts {text}");
        assert!(!schema_accepts(text), "the schema accepts {text}");
    }
}

/// Only the reader can tell, and it is the one that counts.
#[test]
fn what_no_pattern_says_is_left_to_the_reader() {
    for line in [
        "grace = '99999999999d'",
        "cron_restart = 'at night'",
        "uid = 'no-such-user'",
        "ready_timeout = '0s'",
    ] {
        let text = format!("[app.shop]\ncommand = 'a'\n{line}\n");
        assert!(!reader_accepts(&text) && schema_accepts(&text), "{line}");
    }
}
