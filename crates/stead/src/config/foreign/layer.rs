//! What was imported, as a layer of settings: it is read as a `stead.toml` would be, but what is wrong is told in the words of
//! the file that it came from.

use super::draft::{Draft, Imported, Weight};
use crate::config::document::{Entry, Member, Place, Problem, Value};

/// The members of the `stead.toml` that would say the same.
///
/// # Errors
/// The first value that cannot be what was meant.
pub(in crate::config) fn members(imported: &Imported) -> Result<Vec<Member>, Problem> {
    let apps = imported.apps.iter().map(app).collect::<Result<_, _>>()?;
    let place = Place::Foreign("what it names".to_owned());
    let entry = Entry { value: Value::Table(apps), place: place.clone() };
    Ok(vec![Member { key: "app".to_owned(), key_place: place, entry }])
}

impl Imported {
    /// What is different now, a line each.
    pub fn losses(&self) -> impl Iterator<Item = String> {
        let lost = self.told().into_iter().filter(|told| told.note.weight == Weight::Lost);
        lost.map(|told| told.to_string())
    }
}

fn app(draft: &Draft) -> Result<Member, Problem> {
    let place = |key: &str| Place::Foreign(format!("`{key}` of app `{}`", draft.name));
    if let Some(mistake) = draft.notes.iter().find(|note| note.weight == Weight::Mistake) {
        return Err(Problem::new(&place(&mistake.key), mistake.reason.clone()));
    }
    let settings = draft.settings.iter().map(|setting| {
        let place = place(&setting.from);
        let entry = entry(&setting.value, &place);
        Member { key: setting.key.clone(), key_place: place, entry }
    });
    let own = Place::Foreign(format!("app `{}`", draft.name));
    let entry = Entry { value: Value::Table(settings.collect()), place: own.clone() };
    Ok(Member { key: draft.name.clone(), key_place: own, entry })
}

fn entry(value: &toml::Value, place: &Place) -> Entry {
    let value = match value {
        toml::Value::String(text) => Value::String(text.clone()),
        toml::Value::Integer(number) => Value::Integer(*number),
        toml::Value::Float(number) => Value::Float(*number),
        toml::Value::Boolean(value) => Value::Boolean(*value),
        toml::Value::Datetime(_) => Value::Other,
        toml::Value::Array(values) => Value::Array(values.iter().map(|value| entry(value, place)).collect()),
        toml::Value::Table(table) => {
            let member = |(key, value): (&String, &toml::Value)| Member {
                key: key.clone(),
                key_place: place.clone(),
                entry: entry(value, place),
            };
            Value::Table(table.iter().map(member).collect())
        }
    };
    Entry { value, place: place.clone() }
}
