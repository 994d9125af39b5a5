//! The request target (RFC 9112 §3.2) and the host in it or beside it.

use super::{Method, Reject};

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'b> {
    /// `/path?query`
    Origin(&'b str),
    /// `http://authority/path?query`
    Absolute {
        /// Host and port; takes the place of `Host`.
        authority: &'b str,
        /// Empty, or begins with `/` or `?`.
        path_and_query: &'b str,
    },
    /// `*`, of `OPTIONS`.
    Asterisk,
}

impl<'b> Target<'b> {
    pub(super) fn parse(target: &'b str, method: Method<'_>) -> Result<Self, Reject> {
        // The grammar has refused blanks and control characters already.
        if !target.is_ascii() || target.contains('#') {
            return Err(Reject::Target);
        }
        if target.starts_with('/') {
            return Ok(Target::Origin(target));
        }
        if target == "*" && method == Method::Options {
            return Ok(Target::Asterisk);
        }
        let rest = strip_scheme(target).ok_or(Reject::Target)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(end);
        if authority.is_empty() || !is_host(authority.as_bytes()) {
            return Err(Reject::HostInvalid);
        }
        Ok(Target::Absolute { authority, path_and_query })
    }

    /// The path without its query; `/` if the target has none. For routing.
    #[must_use]
    pub fn path(&self) -> &'b str {
        let text = match *self {
            Target::Origin(text) => text,
            Target::Absolute { path_and_query, .. } => path_and_query,
            Target::Asterisk => "*",
        };
        match text.split_once('?').map_or(text, |(path, _)| path) {
            "" => "/",
            path => path,
        }
    }

    /// Writes it in the form an origin server expects.
    pub fn write_origin(&self, method: Method<'_>, out: &mut Vec<u8>) {
        match *self {
            Target::Origin(text) => out.extend_from_slice(text.as_bytes()),
            // RFC 9112 §3.2.4: the last proxy turns an OPTIONS for the whole server into the asterisk form.
            Target::Absolute { path_and_query: "", .. } if method == Method::Options => out.push(b'*'),
            Target::Absolute { path_and_query, .. } => {
                if !path_and_query.starts_with('/') {
                    out.push(b'/');
                }
                out.extend_from_slice(path_and_query.as_bytes());
            }
            Target::Asterisk => out.push(b'*'),
        }
    }
}

fn strip_scheme(target: &str) -> Option<&str> {
    let end = target.find("://")?;
    let scheme = &target[..end];
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    known.then(|| &target[end + 3..])
}

/// Whether `host` is `uri-host [":" port]` (RFC 9110 §7.2), possibly empty. User names are refused, and the comma that
/// RFC 3986 allows: it is how two hosts look when somebody has joined them.
pub(super) fn is_host(host: &[u8]) -> bool {
    let name_end = if host.first() == Some(&b'[') {
        let Some(close) = host.iter().position(|byte| *byte == b']') else { return false };
        if close < 3 || !host[1..close].iter().all(|byte| is_address_byte(*byte)) {
            return false;
        }
        close + 1
    } else {
        let end = host.iter().position(|byte| *byte == b':').unwrap_or(host.len());
        if !host[..end].iter().all(|byte| is_name_byte(*byte)) || (end == 0 && !host.is_empty()) {
            return false;
        }
        end
    };
    match host[name_end..].split_first() {
        None => true,
        Some((b':', port)) => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte)
}

fn is_address_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b":.-_~%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::{Method, Target, is_host};

    #[track_caller]
    fn check(method: &str, target: &str, origin: &str, path: &str) {
        let method = Method::of(method);
        let parsed = Target::parse(target, method).unwrap();
        let mut out = Vec::new();
        parsed.write_origin(method, &mut out);
        assert_eq!((std::str::from_utf8(&out).unwrap(), parsed.path()), (origin, path), "{target}");
    }

    #[test]
    fn every_form_becomes_what_an_origin_server_expects() {
        check("GET", "/", "/", "/");
        check("GET", "/a/b?c=d?e", "/a/b?c=d?e", "/a/b");
        check("GET", "//a", "//a", "//a");
        check("GET", "/a|{}\"%zz", "/a|{}\"%zz", "/a|{}\"%zz");
        check("GET", "http://a.example", "/", "/");
        check("GET", "HTTPS://a.example:8443/b?c", "/b?c", "/b");
        check("GET", "http://a.example?c", "/?c", "/");
        check("OPTIONS", "*", "*", "*");
        check("OPTIONS", "http://a.example", "*", "/");
        check("OPTIONS", "http://a.example/", "/", "/");
    }

    #[test]
    fn other_targets_are_refused() {
        let targets = [
            "a",
            "a/b",
            "*",
            "**",
            "/#a",
            "/a\u{e9}",
            "a.example:443",
            "http:/a",
            "http://",
            "http:///a",
            "http://u@a/",
            "http://u:p@a/",
            "ftp://a/",
            "http://a b/",
            "http://a:b/",
            "http://[::1/",
            "://a",
            "?a",
            "http://?a",
        ];
        for target in targets {
            assert!(Target::parse(target, Method::Get).is_err(), "{target}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses_with_a_port() {
        let hosts =
            ["", "a", "a.example", "a_b-c~d", "A.EXAMPLE:80", "a:", "192.0.2.1:65535", "[::1]", "[::1]:8080"];
        for host in hosts {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        let others = [
            ":80", "a:b", "a:123456", "a:1:2", "a,b", "a b", "a/b", "u@a", "a\\b", "a\"b", "[]", "[:]",
            "[::1", "::1", "[::1]a", "[::1]:x", "[g/]", "a#", "a?b", "<a>", "a\u{e9}",
        ];
        for host in others {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
