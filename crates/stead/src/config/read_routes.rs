//! Reads `routes`: hosts and paths, some with more to say.

use super::document::{Entry, Member, Problem, Value};
use super::form::{Form, Shape, expected, list, size, string, table, wait};
use super::program::tidy;
use super::quantity::parse_duration;
use super::reader::unknown_key;
use super::settings::{RateLimit, RouteSettings};
use std::path::Path;
use std::time::Duration;
use stead_balancer::{Pattern, PatternError};

const KEYS: [&str; 6] = ["match", "body_bytes_max", "timeout", "rate_limit", "redirect", "static"];
const EXAMPLE: &str =
    "\"shop.example.org\", \"example.org/shop\", \"/api\", or { match = \"/api\", rate_limit = \"100/s\" }";

/// Paths are not put in their places yet.
pub(super) fn routes() -> Form<Vec<RouteSettings>> {
    let options = Shape::Keys(KEYS.to_vec(), Box::new(Shape::Text));
    list(Form::new(Shape::Any(vec![Shape::Text, options]), |entry| match &entry.value {
        Value::String(_) => Ok(RouteSettings::new(pattern().read(entry)?)),
        Value::Table(_) => route(entry),
        _ => Err(expected(entry, EXAMPLE)),
    }))
}

fn pattern() -> Form<Pattern> {
    string().check(|text| text.parse().map_err(|error: PatternError| error.to_string()))
}

fn route(entry: &Entry) -> Result<RouteSettings, Problem> {
    let members = table(entry)?;
    let Some(matched) = members.iter().find(|member| member.key == "match") else {
        return Err(Problem::new(&entry.place, format!("it has no `match`: expected {EXAMPLE}")));
    };
    let mut route = RouteSettings::new(pattern().read(&matched.entry)?);
    for Member { key, key_place, entry } in members {
        match key.as_str() {
            "match" => (),
            "body_bytes_max" => route.body_bytes_max = Some(size().read(entry)?),
            "timeout" => route.timeout = Some(wait().read(entry)?),
            "rate_limit" => route.rate_limit = Some(rate().read(entry)?),
            "redirect" => route.redirect = Some(place().read(entry)?),
            "static" => route.files = Some(string().read(entry)?.into()),
            _ => return Err(unknown_key(key, key_place, "`routes`", &KEYS)),
        }
    }
    let of_workers = route.body_bytes_max.is_some() || route.timeout.is_some();
    if route.redirect.is_some() && (route.files.is_some() || of_workers) {
        let message = "a `redirect` is answered at once: of the other keys only `rate_limit` goes with it";
        return Err(Problem::new(&entry.place, message));
    }
    Ok(route)
}

/// `100/s`, `10/m`, `3/10s`.
fn rate() -> Form<RateLimit> {
    string().check(|text| {
        let wrong = || format!("`{text}` is not a rate such as \"100/s\", \"10/m\" or \"1000/h\"");
        let (count, period) = text.split_once('/').ok_or_else(wrong)?;
        let one = if period.starts_with(|letter: char| letter.is_ascii_digit()) { "" } else { "1" };
        let period = parse_duration(&format!("{one}{period}")).map_err(|_| wrong())?;
        match count.parse() {
            Ok(count) if count > 0 && period > Duration::ZERO => Ok(RateLimit { count, period }),
            _ => Err(wrong()),
        }
    })
}

/// Where a redirect leads: what stands in front of a path.
fn place() -> Form<String> {
    string().check(|text| {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let is_plain = |letter: char| letter.is_ascii_graphic() && !"?#\\\"<>^`{|}@".contains(letter);
        match rest {
            Some(rest) if rest.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '[') && rest.chars().all(is_plain) => {
                Ok(text.trim_end_matches('/').to_owned())
            }
            _ => Err(format!("`{text}` is not a URL such as \"https://new.example.org\"; path and query follow by themselves")),
        }
    })
}

/// With directories from that of the file that they stand in.
pub(super) fn settle(routes: Vec<RouteSettings>, base: &Path) -> Vec<RouteSettings> {
    let settle = |route: RouteSettings| RouteSettings {
        files: route.files.map(|files| tidy(&base.join(files))),
        ..route
    };
    routes.into_iter().map(settle).collect()
}
