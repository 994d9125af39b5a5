//! Reads the keys of an app's table about the PROXY protocol, and proves that they can do something where the app is served.

use super::document::{Problem, Value};
use super::error::ConfigError;
use super::form::{Form, Shape, expected, string};
use super::settings::{AppSettings, Mode};
use super::suggest::nearest;
use stead_balancer::{Network, ProxyFrom};

/// Who begins with a header: a word, or networks.
pub(super) fn proxy_from() -> Form<ProxyFrom> {
    const WORDS: [&str; 2] = ["off", "all"];
    let shape = Shape::Any(vec![Shape::Words(WORDS.to_vec()), Shape::List(Box::new(Shape::Text))]);
    Form::new(shape, |entry| match &entry.value {
        Value::Array(entries) if entries.is_empty() => {
            Err(Problem::new(&entry.place, "expected at least one network")
                .hint(Some("\"off\" is nobody".to_owned())))
        }
        Value::Array(entries) => {
            let networks: Result<_, Problem> = entries.iter().map(|entry| network().read(entry)).collect();
            networks.map(ProxyFrom::Networks)
        }
        Value::String(word) => match word.as_str() {
            "off" => Ok(ProxyFrom::Nobody),
            "all" => Ok(ProxyFrom::Everybody),
            _ => {
                let meant = nearest(word, WORDS).map(|word| format!("did you mean `{word}`?"));
                let message = format!("`{word}` is not one of `off`, `all`, and networks are a list");
                Err(Problem::new(&entry.place, message)
                    .hint(Some(meant.unwrap_or_else(|| format!("write [\"{word}\"]")))))
            }
        },
        _ => Err(expected(entry, "\"off\", \"all\" or a list of networks")),
    })
}

fn network() -> Form<Network> {
    string().check(|text| text.parse().map_err(|error: stead_balancer::NetworkError| error.to_string()))
}

/// Whether what is said about the PROXY protocol can be done.
pub(super) fn check(app: &AppSettings) -> Result<(), ConfigError> {
    let wrong = |reason: &str, hint: &str| {
        let message = format!("app `{}`: {reason}", app.name);
        Err(ConfigError::Option { message, hint: Some(hint.to_owned()) })
    };
    if app.proxy_protocol != ProxyFrom::Nobody && app.mode == Mode::Shared {
        let hint = "the program accepts its connections itself, and can read the header itself";
        return wrong("`proxy_protocol` needs another mode than `shared`", hint);
    }
    if app.send_proxy.is_some() && matches!(app.mode, Mode::Http | Mode::Shared) && app.ports.is_empty() {
        let hint = "requests say who the client is in X-Forwarded-For and Forwarded";
        return wrong("`send_proxy` needs mode `direct`", hint);
    }
    Ok(())
}
