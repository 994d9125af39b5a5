//! Values that are one of a few words, or a table with one key: `"tcp"`, `{ http = "/health" }`.

use super::document::{Problem, Value};
use super::form::{Form, Shape, string};
use super::reader::unknown_key;
use super::suggest::nearest;

/// One key of such a table: its name, an example of its value, and how the value is read.
pub(super) type Tag<T> = (&'static str, &'static str, Form<T>);

/// The form of such a value; `owner` is what it belongs to, for sentences.
pub(super) fn tagged<T: Clone + 'static>(
    owner: &'static str,
    words: Vec<(&'static str, T)>,
    tags: Vec<Tag<T>>,
) -> Form<T> {
    let examples: Vec<String> =
        tags.iter().map(|(key, example, _)| format!("{{ {key} = \"{example}\" }}")).collect();
    let tags: Vec<(&'static str, Form<T>)> = tags.into_iter().map(|(key, _, form)| (key, form)).collect();
    let keys = tags.iter().map(|(key, form)| (*key, form.shape().clone())).collect();
    let shape =
        Shape::Any(vec![Shape::Words(words.iter().map(|(word, _)| *word).collect()), Shape::OneKey(keys)]);
    Form::new(shape, move |entry| match &entry.value {
        Value::Table(members) => {
            let wrong = members.iter().find(|member| tags.iter().all(|(key, _)| *key != member.key));
            if let Some(member) = wrong {
                let known: Vec<&str> = tags.iter().map(|(key, _)| *key).collect();
                let hint = Some(format!("write {}", examples.join(" or ")));
                return Err(unknown_key(&member.key, &member.key_place, owner, &known).hint(hint));
            }
            match members.as_slice() {
                [member] => {
                    let form = tags.iter().find(|(key, _)| *key == member.key).map(|(_, form)| form);
                    form.expect("every key was found above").read(&member.entry)
                }
                _ => Err(Problem::new(&entry.place, format!("expected {}", examples.join(" or ")))),
            }
        }
        _ => {
            let word = string().read(entry)?;
            if let Some((_, value)) = words.iter().find(|(name, _)| *name == word) {
                return Ok(value.clone());
            }
            let names = words.iter().map(|(name, _)| format!("`{name}`")).chain(examples.iter().cloned());
            let names = names.collect::<Vec<_>>().join(", ");
            let meant = nearest(&word, words.iter().map(|(name, _)| *name));
            Err(Problem::new(&entry.place, format!("`{word}` is not one of {names}"))
                .hint(meant.map(|word| format!("did you mean `{word}`?"))))
        }
    })
}
