//! Request methods and what may be done with a request because of its method (RFC 9110 §9.2).

/// A request method. `CONNECT` is missing because it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method<'b> {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// `TRACE`
    Trace,
    /// `PATCH`
    Patch,
    /// Any other token. Methods are case-sensitive, so `get` is one of these.
    Other(&'b str),
}

impl<'b> Method<'b> {
    pub(super) fn of(name: &'b str) -> Self {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            "TRACE" => Method::Trace,
            "PATCH" => Method::Patch,
            other => Method::Other(other),
        }
    }

    /// The method as it stands in the request line.
    #[must_use]
    pub fn as_str(self) -> &'b str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            Method::Other(name) => name,
        }
    }

    /// Whether the client asks for no change (RFC 9110 §9.2.1).
    #[must_use]
    pub fn is_safe(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options | Method::Trace)
    }

    /// Whether doing it twice has the effect of doing it once (RFC 9110 §9.2.2). Unknown methods are not.
    #[must_use]
    pub fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Method::Put | Method::Delete)
    }
}

/// What the reader of a response has to know about its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestMethodKind {
    /// `HEAD`: the answer has no body, whatever its head says.
    Head,
    /// The request offers an upgrade, so 101 is a possible answer.
    Upgrade,
    /// Everything else.
    Other,
}

#[cfg(test)]
mod tests {
    use super::Method;

    #[track_caller]
    fn check(name: &str, safe: bool, idempotent: bool) {
        let method = Method::of(name);
        assert_eq!(method.as_str(), name);
        assert_eq!((method.is_safe(), method.is_idempotent()), (safe, idempotent), "{name}");
    }

    #[test]
    fn safe_and_idempotent_follow_rfc_9110() {
        for name in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            check(name, true, true);
        }
        for name in ["PUT", "DELETE"] {
            check(name, false, true);
        }
        for name in ["POST", "PATCH"] {
            check(name, false, false);
        }
    }

    #[test]
    fn unknown_methods_are_not_idempotent() {
        for name in ["get", "PROPFIND", "GETX", "M-SEARCH"] {
            check(name, false, false);
        }
    }
}
