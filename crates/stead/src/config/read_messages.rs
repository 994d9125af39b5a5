//! Reads the keys of an app's table about messages between workers and about shared values. The order is that of `defaults.toml`.

use super::document::{Entry, Member, Problem};
use super::form::{Form, Shape, large_count, map, some_bytes, string, table, wait};
use super::reader::{Reader, unknown_key};
use super::settings::{MessageSettings, SharedCommand};
use std::time::Duration;

const KEYS: [&str; 3] = ["command", "every", "timeout"];
/// Names of shared values, for the schema.
const NAME: &str = "^.{1,256}$";
/// A longer name is an error in a program too.
const NAME_BYTES_MAX: usize = 256;
const EXAMPLE: &str = "{ command = \"node count.js\", every = \"10s\" }";
/// Of a run of a command that does not say.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn messages(reader: &mut Reader) -> Result<MessageSettings, Problem> {
    Ok(MessageSettings {
        message_bytes_max: reader.get("message_bytes_max", some_bytes())?,
        queue_max: reader.get("message_queue_max", large_count())?,
        queue_bytes_max: reader.get("message_queue_bytes_max", some_bytes())?,
        timeout: reader.get("message_timeout", wait())?,
        shared_bytes_max: reader.get("shared_bytes_max", some_bytes())?,
        shared: reader.get("shared", shared())?,
    })
}

fn shared() -> Form<Vec<SharedCommand>> {
    map(NAME, Shape::Keys(KEYS.to_vec(), Box::new(Shape::Text)), |member| {
        if member.key.is_empty() || member.key.len() > NAME_BYTES_MAX {
            let message = format!("the name of a shared value has 1 to {NAME_BYTES_MAX} bytes");
            return Err(Problem::new(&member.key_place, message));
        }
        command(&member.key, &member.entry)
    })
}

fn command(name: &str, entry: &Entry) -> Result<SharedCommand, Problem> {
    let (mut line, mut every, mut timeout) = (None, None, TIMEOUT);
    for Member { key, key_place, entry } in table(entry)? {
        match key.as_str() {
            "command" => line = Some(string().check(not_blank).read(entry)?),
            "every" => every = Some(wait().read(entry)?),
            "timeout" => timeout = wait().read(entry)?,
            _ => return Err(unknown_key(key, key_place, "`shared`", &KEYS)),
        }
    }
    match (line, every) {
        (Some(command), Some(every)) => Ok(SharedCommand { name: name.to_owned(), command, every, timeout }),
        (None, _) => Err(Problem::new(&entry.place, format!("it has no `command`: expected {EXAMPLE}"))),
        (_, None) => Err(Problem::new(&entry.place, format!("it has no `every`: expected {EXAMPLE}"))),
    }
}

fn not_blank(line: String) -> Result<String, String> {
    if line.trim().is_empty() { Err("the command is empty".to_owned()) } else { Ok(line) }
}
