//! The query of a new task: what is said of it besides its input.
//!
//! Read word by word and not by a derive, because whoever wrote it wants to know which word is wrong and what would be right there.

use crate::messenger::Fault;
use axum::extract::Query;
use axum::http::Uri;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// What a query says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskQuery {
    pub(crate) wait: Option<bool>,
    pub(crate) id: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) priority: Option<i32>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: Option<u32>,
    pub(crate) durable: Option<bool>,
}

impl TaskQuery {
    /// Reads the query of an address. A fault names the word that is wrong, what it says and what it may say.
    pub(crate) fn read(uri: &Uri) -> Result<TaskQuery, Fault> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| wrong("the query is not understood", "it is written `?name=value&name=value`"))?;
        let mut words = Words::new();
        for (name, value) in pairs {
            if words.insert(name.clone(), value).is_some() {
                return Err(wrong(format!("`{name}` is there twice"), "leave one of them out"));
            }
        }
        let (number, flag) = ("a whole number", "`true` or `false`");
        let query = TaskQuery {
            wait: word(&mut words, "wait", flag, "false")?,
            id: text(&mut words, "id")?,
            key: text(&mut words, "key")?,
            priority: word(&mut words, "priority", number, "5")?,
            timeout: word(&mut words, "timeout", "a number of milliseconds", "10000")?
                .map(Duration::from_millis),
            retries: word(&mut words, "retries", "a number from 0", "2")?,
            durable: word(&mut words, "durable", flag, "true")?,
        };
        if query.timeout == Some(Duration::ZERO) {
            return Err(wrong("`timeout` is 0, which leaves no time", "leave it out if there is no limit"));
        }
        let known = "`wait`, `id`, `key`, `priority`, `timeout`, `retries` and `durable` are known";
        words
            .keys()
            .next()
            .map_or(Ok(query), |unknown| Err(wrong(format!("a task has no `{unknown}`"), known)))
    }
}

type Words = BTreeMap<String, String>;

fn text(words: &mut Words, name: &str) -> Result<Option<String>, Fault> {
    match words.remove(name) {
        // What a script's unset variable comes to would make all tasks one.
        Some(value) if value.is_empty() => {
            Err(wrong(format!("`{name}` is empty"), "leave it out, or say one"))
        }
        value => Ok(value),
    }
}

fn word<T: FromStr>(words: &mut Words, name: &str, what: &str, example: &str) -> Result<Option<T>, Fault> {
    let Some(value) = words.remove(name) else { return Ok(None) };
    let wrong =
        |_| wrong(format!("`{name}` is {what}, and not {value:?}"), format!("as in `?{name}={example}`"));
    value.parse().map(Some).map_err(wrong)
}

fn wrong(message: impl Into<String>, hint: impl Into<String>) -> Fault {
    Fault::new("bad_message", message).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<TaskQuery, Fault> {
        TaskQuery::read(&format!("/v1/pools/resize/tasks{query}").parse().expect("it is an address"))
    }

    #[test]
    fn a_query_says_everything_that_a_task_has() {
        assert_eq!(read(""), Ok(TaskQuery::default()));
        let query = read("?wait=false&id=a%2Fb&key=x&priority=-3&timeout=10&retries=2&durable=true");
        let expected = TaskQuery {
            wait: Some(false),
            id: Some("a/b".to_owned()),
            key: Some("x".to_owned()),
            priority: Some(-3),
            timeout: Some(Duration::from_millis(10)),
            retries: Some(2),
            durable: Some(true),
        };
        assert_eq!(query, Ok(expected));
    }

    #[test]
    fn a_wrong_word_is_named_with_what_would_be_right() {
        let check = |query: &str, message: &str, hint: &str| {
            let fault = read(query).expect_err("it is wrong");
            let told = (fault.message.as_str(), fault.hint.as_deref());
            assert_eq!((fault.code.as_str(), told), ("bad_message", (message, Some(hint))), "{query}");
        };
        check("?priority=high", "`priority` is a whole number, and not \"high\"", "as in `?priority=5`");
        check(
            "?timeout=soon",
            "`timeout` is a number of milliseconds, and not \"soon\"",
            "as in `?timeout=10000`",
        );
        check("?timeout=0", "`timeout` is 0, which leaves no time", "leave it out if there is no limit");
        check("?retries=-1", "`retries` is a number from 0, and not \"-1\"", "as in `?retries=2`");
        check("?wait=no", "`wait` is `true` or `false`, and not \"no\"", "as in `?wait=false`");
        check("?durable", "`durable` is `true` or `false`, and not \"\"", "as in `?durable=true`");
        check("?id=", "`id` is empty", "leave it out, or say one");
        check("?key=1&key=2", "`key` is there twice", "leave one of them out");
        check(
            "?prioriti=1",
            "a task has no `prioriti`",
            "`wait`, `id`, `key`, `priority`, `timeout`, `retries` and `durable` are known",
        );
    }
}
