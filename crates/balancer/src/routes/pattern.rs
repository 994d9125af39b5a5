//! A route as people write it: `shop.example.org`, `*.example.org`, `example.org/shop`, `/api`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What programs and people take for more than a letter of a path.
const NOT_PLAIN: &[char] = &['%', '\\', ';', '?', '#', '*', '"', '<', '>', '{', '}', '|', '^', '`'];

/// The requests of one host, of all hosts below one, or of all, and of these the ones whose path begins with some segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pattern {
    pub(super) host: Host,
    /// Without separators; none of them is empty.
    pub(super) path: Vec<String>,
}

/// Lower case, without a port and without a dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Host {
    Any,
    Exact(String),
    /// Names with one or more labels in front of this one.
    Below(String),
}

/// Why a text is no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing is written.
    #[error("a route is a host, a path, or both: \"shop.example.org\", \"/api\", \"example.org/shop\"")]
    Empty,
    /// `https://example.org`
    #[error("`{0}` is left away: how clients speak stands in `listen`")]
    Scheme(String),
    /// `example.org:8080`
    #[error("the port is left away: it stands in `listen`")]
    Port,
    /// `*` anywhere but as the first label of a host.
    #[error(
        "`*` stands only for what is in front of a host, as in \"*.example.org\"; a path matches whatever begins with it"
    )]
    Wildcard,
    /// A host that no request can name.
    #[error("`{0}` is not a host: letters, digits, `-` and `_` between dots; others as `xn--`")]
    Host(String),
    /// A path with something in it that is written in several ways.
    #[error(
        "`{0}` cannot stand in the path of a route: write it as people read it, without escapes and queries"
    )]
    Path(String),
}

impl Pattern {
    /// Whether it asks for more than a host.
    #[must_use]
    pub fn has_path(&self) -> bool {
        !self.path.is_empty()
    }

    /// Of how many segments its path is.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.path.len()
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(PatternError::Scheme(format!("{scheme}://")));
        }
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        let (host, path) = text.split_at(text.find('/').unwrap_or(text.len()));
        Ok(Self { host: read_host(host)?, path: read_path(path)? })
    }
}

fn read_host(text: &str) -> Result<Host, PatternError> {
    if text.is_empty() {
        return Ok(Host::Any);
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if let Some(address) = name.strip_prefix('[') {
        let (address, port) = address.split_once(']').ok_or_else(|| PatternError::Host(text.to_owned()))?;
        return match (address.parse::<std::net::Ipv6Addr>(), port) {
            (Ok(address), "") => Ok(Host::Exact(format!("[{address}]"))),
            (Ok(_), _) => Err(PatternError::Port),
            (Err(_), _) => Err(PatternError::Host(text.to_owned())),
        };
    }
    if name.contains(':') {
        return Err(PatternError::Port);
    }
    let (below, name) = match name.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, name.as_str()),
    };
    if name.contains('*') {
        return Err(PatternError::Wildcard);
    }
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let is_label = |label: &str| !label.is_empty() && label.chars().all(is_letter);
    if !name.split('.').all(is_label) {
        return Err(PatternError::Host(text.to_owned()));
    }
    Ok(if below { Host::Below(name.to_owned()) } else { Host::Exact(name.to_owned()) })
}

fn read_path(text: &str) -> Result<Vec<String>, PatternError> {
    let is_odd = |letter: char| NOT_PLAIN.contains(&letter) || letter.is_control() || letter.is_whitespace();
    match text.find(is_odd).and_then(|at| text[at..].chars().next()) {
        Some('*') => return Err(PatternError::Wildcard),
        Some(letter) => return Err(PatternError::Path(letter.to_string())),
        None => (),
    }
    let segments: Vec<_> = text.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
    match segments.iter().find(|segment| matches!(segment.as_str(), "." | "..")) {
        Some(dots) => Err(PatternError::Path(dots.clone())),
        None => Ok(segments),
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Any => (),
            Host::Exact(name) => f.write_str(name)?,
            Host::Below(name) => write!(f, "*.{name}")?,
        }
        if self.path.is_empty() && self.host == Host::Any {
            return f.write_str("/");
        }
        self.path.iter().try_for_each(|segment| write!(f, "/{segment}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let read = match text.parse::<Pattern>() {
            Ok(pattern) => pattern.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn routes_are_read_as_people_write_them() {
        check("shop.example.org", "shop.example.org");
        check("Shop.Example.ORG.", "shop.example.org");
        check("*.example.org", "*.example.org");
        check("example.org/shop", "example.org/shop");
        check("example.org/shop/", "example.org/shop");
        check("example.org/", "example.org");
        check("*.example.org/a/b", "*.example.org/a/b");
        check("/api", "/api");
        check("/", "/");
        check("localhost", "localhost");
        check("127.0.0.1/a", "127.0.0.1/a");
        check("[::1]", "[::1]");
        check("[0:0::1]/a", "[::1]/a");
        check("/.well-known/stra\u{df}e", "/.well-known/stra\u{df}e");
    }

    #[test]
    fn what_is_no_route_is_explained() {
        let empty = PatternError::Empty.to_string();
        check("", &format!("error: {empty}"));
        check("https://example.org", "error: `https://` is left away: how clients speak stands in `listen`");
        check("example.org:8080/a", "error: the port is left away: it stands in `listen`");
        check("[::1]:80", "error: the port is left away: it stands in `listen`");
        let wildcard = format!("error: {}", PatternError::Wildcard);
        for text in ["*", "*.", "a.*.org", "*example.org", "example.org/*", "/api/*"] {
            check(text, &wildcard);
        }
        for text in ["a..b", ".a", "a b", "exa\u{e4}mple.org", "a,b"] {
            check(text, &format!("error: {}", PatternError::Host(text.to_owned())));
        }
        for (text, letter) in
            [("/a%20b", "%"), ("/a?b", "?"), ("/a b", " "), ("/a/../b", ".."), ("/a;b", ";")]
        {
            check(text, &format!("error: {}", PatternError::Path(letter.to_owned())));
        }
    }
}
