//! Typed reading of one table whose values come from several layers.
//!
//! A key that nobody asks for is unknown: the code that reads the settings is the list of settings.

use super::document::{Entry, Member, Place, Problem};
use super::form::{Form, Shape};
use super::suggest::nearest;
use std::collections::BTreeMap;

/// The values of one table, later layers over earlier ones.
pub(super) struct Reader {
    members: BTreeMap<String, Member>,
    /// For sentences: `[app.shop]`.
    table: String,
    asked: Vec<(Key, Shape)>,
}

/// A key that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// This one.
    Name(&'static str),
    /// Every one that begins so.
    Prefix(&'static str),
}

impl Reader {
    pub(super) fn new(table: String, layers: impl IntoIterator<Item = Member>) -> Reader {
        let members = layers.into_iter().map(|member| (member.key.clone(), member)).collect();
        Reader { members, table, asked: Vec::new() }
    }

    /// The value of a key that may be missing.
    pub(super) fn take<T: 'static>(
        &mut self,
        key: &'static str,
        form: Form<T>,
    ) -> Result<Option<T>, Problem> {
        let read = self.members.remove(key).map(|member| read_as(key, &form, &member.entry)).transpose();
        self.asked.push((Key::Name(key), form.into_shape()));
        read
    }

    /// The value of a key that has a default.
    ///
    /// # Panics
    /// When `defaults.toml` does not name the key; a test reads every one.
    pub(super) fn get<T: 'static>(&mut self, key: &'static str, form: Form<T>) -> Result<T, Problem> {
        let value = self.take(key, form)?;
        Ok(value.unwrap_or_else(|| panic!("defaults.toml must name every setting, and so `{key}`")))
    }

    /// The values of all keys that begin so, by what follows.
    pub(super) fn take_all<T: 'static>(
        &mut self,
        prefix: &'static str,
        form: Form<T>,
    ) -> Result<BTreeMap<String, T>, Problem> {
        let found: Vec<Member> = self
            .members
            .extract_if(.., |key, _| key.len() > prefix.len() && key.starts_with(prefix))
            .map(|(_, member)| member)
            .collect();
        let read = found.iter().map(|member| {
            Ok((member.key[prefix.len()..].to_owned(), read_as(&member.key, &form, &member.entry)?))
        });
        let read = read.collect();
        self.asked.push((Key::Prefix(prefix), form.into_shape()));
        read
    }

    /// What was asked for. What is left is unknown; the first of it is the error.
    pub(super) fn finish(self) -> Result<Vec<(Key, Shape)>, Problem> {
        let unknown = self.members.into_values().min_by_key(|member| match &member.key_place {
            Place::File(range) => range.start,
            Place::Defaults | Place::Foreign(_) | Place::Flag(_) => 0,
        });
        let Some(Member { key, key_place, .. }) = unknown else { return Ok(self.asked) };
        let known = self.asked.iter().filter_map(|(asked, _)| match asked {
            Key::Name(name) => Some(*name),
            Key::Prefix(_) => None,
        });
        Err(unknown_key(&key, &key_place, &self.table, &known.collect::<Vec<_>>()))
    }
}

/// The error for a key that does not exist.
pub(super) fn unknown_key(key: &str, place: &Place, table: &str, known: &[&str]) -> Problem {
    let hint = match nearest(key, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "`stead config defaults` prints every setting".to_owned(),
    };
    Problem::new(place, format!("unknown key `{key}` in {table}")).label("unknown key").hint(Some(hint))
}

/// A problem with a value says whose value it is; the label beside it says what it should be. One inside of a table has said
/// so already.
fn read_as<T: 'static>(key: &str, form: &Form<T>, entry: &Entry) -> Result<T, Problem> {
    form.read(entry).map_err(|problem| {
        if problem.label.is_some() {
            return problem;
        }
        let label = Some(problem.message);
        Problem { message: format!("invalid value for `{key}`"), label, ..problem }
    })
}
