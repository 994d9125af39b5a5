//! The JSON schema of `stead.toml`, for editors: which keys there are, what may stand there, and why the default is what it is.
//!
//! Made of what the reader asks for (`form.rs`) and of what `defaults.toml` says, so there is nothing here to keep up to date.
//! It accepts whatever the reader accepts. The reader refuses more: what only this machine can tell (a user that is not
//! there), and what no pattern says (a cron expression).

use super::document::{Entry, Member, Value as Written};
use super::form::Shape;
use super::layers::{Defaults, lanes, read_group};
use super::quantity::{duration_pattern, size_pattern};
use super::read_app::{NAME, read_app};
use super::read_pool::read_pool;
use super::read_schedule::read_schedule;
use super::reader::{Key, Reader};
use super::reference::{Explained, Table, explained};
use serde_json::{Map, Value, json};

/// The schema.
///
/// # Panics
/// When `defaults.toml` cannot be read by the reader; tests read it.
pub fn schema() -> Value {
    let defaults = Defaults::read();
    let reader = |members: &[Member]| Reader::new("defaults.toml".to_owned(), members.iter().cloned());
    let (_, app) = read_app(reader(&defaults.app)).expect("defaults.toml can be read");
    let of_pools = [&defaults.app[..], &defaults.pool[..]].concat();
    let (_, pool) = read_pool(reader(&of_pools)).expect("defaults.toml can be read");
    let (_, group) = read_group(reader(&defaults.group)).expect("defaults.toml can be read");
    let (_, schedule) = read_schedule(reader(&defaults.schedule)).expect("defaults.toml can be read");
    let top = [(Key::Name("lanes"), lanes().into_shape())];
    let explained = explained();
    let page = |table, defaults| Page { table, explained: &explained, defaults };
    let mut properties = page(Table::Top, std::slice::from_ref(&defaults.lanes)).properties(&top).0;
    properties.insert("app".to_owned(), tables("app", "Apps by their names: [app.NAME]"));
    properties.insert("pool".to_owned(), tables("pool", "Pools of workers that take tasks: [pool.NAME]"));
    properties.insert("group".to_owned(), tables("group", "Apps that share their luck: [group.NAME]"));
    let mut app = page(Table::App, &defaults.app).table(&app, "command");
    app["properties"]["schedule"] = tables("schedule", "What it does by the clock: [app.NAME.schedule.NAME]");
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "stead.toml",
        "description": "What Stead runs. Every key with its default and its reason: stead config defaults",
        "type": "object",
        "properties": properties,
        "anyOf": [{ "required": ["app"] }, { "required": ["pool"] }],
        "additionalProperties": false,
        "$defs": {
            "app": app,
            "schedule": page(Table::Schedule, &defaults.schedule).table(&schedule, "cron"),
            "pool": page(Table::Pool, &of_pools).table(&pool, "command"),
            "group": page(Table::Group, &defaults.group).table(&group, "apps"),
        },
    })
}

/// What `defaults.toml` says about one table.
struct Page<'a> {
    table: Table,
    explained: &'a [Explained],
    defaults: &'a [Member],
}

impl Page<'_> {
    fn table(&self, asked: &[(Key, Shape)], required: &str) -> Value {
        let (properties, patterns) = self.properties(asked);
        json!({
            "type": "object",
            "properties": properties,
            "patternProperties": patterns,
            "required": [required],
            "additionalProperties": false,
        })
    }

    /// Keys by their names, and by what they begin with.
    fn properties(&self, asked: &[(Key, Shape)]) -> (Map<String, Value>, Map<String, Value>) {
        let (mut named, mut begun) = (Map::new(), Map::new());
        for (key, shape) in asked {
            match key {
                Key::Name(name) => {
                    let is_it = |explained: &&Explained| explained.key == *name;
                    let mut property = self.described(of_shape(shape), is_it);
                    let default = self.defaults.iter().rfind(|member| member.key == *name);
                    if let Some(default) = default.and_then(|member| json(&member.entry)) {
                        property["default"] = default;
                    }
                    named.insert((*name).to_owned(), property);
                }
                Key::Prefix(prefix) => {
                    let is_it = |explained: &&Explained| explained.key.starts_with(prefix);
                    begun.insert(format!("^{prefix}."), self.described(of_shape(shape), is_it));
                }
            }
        }
        (named, begun)
    }

    fn described(&self, mut property: Value, is_it: impl Fn(&&Explained) -> bool) -> Value {
        let of = |table| self.explained.iter().filter(move |explained| explained.table == table);
        // A pool has most keys of an app.
        let shared = (self.table == Table::Pool).then(|| of(Table::App)).into_iter().flatten();
        if let Some(explained) = of(self.table).chain(shared).find(is_it) {
            property["description"] = explained.paragraph().into();
        }
        property
    }
}

/// A table for each name.
fn tables(kind: &str, description: &str) -> Value {
    json!({
        "description": description,
        "type": "object",
        "patternProperties": { NAME: { "$ref": format!("#/$defs/{kind}") } },
        "additionalProperties": false,
    })
}

fn of_shape(shape: &Shape) -> Value {
    match shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Integer(least, most) => {
            let mut integer = json!({ "type": "integer" });
            let bounds = [("minimum", least, i64::MIN), ("maximum", most, i64::MAX)];
            for (word, bound, _) in bounds.iter().filter(|(_, bound, none)| *bound != none) {
                integer[word] = json!(bound);
            }
            integer
        }
        Shape::Number => json!({ "type": "number", "exclusiveMinimum": 0 }),
        Shape::Duration => json!({ "type": "string", "pattern": duration_pattern() }),
        Shape::Size => json!({ "type": "string", "pattern": size_pattern() }),
        Shape::Pattern(pattern) => json!({ "type": "string", "pattern": pattern }),
        Shape::Words(words) => json!({ "enum": words }),
        Shape::List(shape) => json!({ "type": "array", "items": of_shape(shape) }),
        Shape::OneKey(keys) => {
            let keys: Map<String, Value> =
                keys.iter().map(|(key, shape)| ((*key).to_owned(), of_shape(shape))).collect();
            json!({
                "type": "object", "properties": keys, "additionalProperties": false,
                "minProperties": 1, "maxProperties": 1,
            })
        }
        Shape::Keys(keys, shape) => {
            let keys: Map<String, Value> =
                keys.iter().map(|key| ((*key).to_owned(), of_shape(shape))).collect();
            json!({ "type": "object", "properties": keys, "additionalProperties": false })
        }
        Shape::Map(pattern, shape) => json!({
            "type": "object", "patternProperties": { *pattern: of_shape(shape) }, "additionalProperties": false,
        }),
        Shape::Anything => json!({}),
        Shape::Any(shapes) => json!({ "anyOf": shapes.iter().map(of_shape).collect::<Vec<_>>() }),
    }
}

/// A value of the file in JSON; nothing for what JSON has no word for.
pub(super) fn json(entry: &Entry) -> Option<Value> {
    Some(match &entry.value {
        Written::String(text) => json!(text),
        Written::Integer(number) => json!(number),
        Written::Float(number) => json!(number),
        Written::Boolean(value) => json!(value),
        Written::Array(entries) => entries.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        Written::Table(members) => {
            let members = members.iter().map(|member| Some((member.key.clone(), json(&member.entry)?)));
            Value::Object(members.collect::<Option<Map<_, _>>>()?)
        }
        Written::Other => return None,
    })
}
