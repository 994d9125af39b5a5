//! Small answers that Stead gives itself, when no worker can.
//!
//! Not on the path of requests that go well, so this file may format and allocate.

use std::time::Duration;

use super::Version;

/// An answer of one sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The status: 308, 400, 408, 413, 414, 431, 500 to 505.
    pub status: u16,
    /// What happened, as a fragment that fits after the status, without a full stop.
    pub text: &'a str,
    /// When to try again; rounded up to whole seconds.
    pub retry_after: Option<Duration>,
    /// Where to go instead: an address whose characters have been checked.
    pub location: Option<&'a str>,
}

/// Whom the answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerTo {
    /// The request was `HEAD`, so the body is only announced.
    pub head: bool,
    /// The version of the request.
    pub version: Version,
    /// The connection stays open after the answer. The rest of the request's body must have been read then.
    pub keep_alive: bool,
}

impl<'a> Answer<'a> {
    /// 308: the same request, by the same method, is to be sent there.
    #[must_use]
    pub fn permanent_redirect(location: &'a str) -> Self {
        Self { status: 308, text: "use https", retry_after: None, location: Some(location) }
    }

    /// 408: the request did not come in time.
    #[must_use]
    pub fn request_timeout(text: &'a str) -> Self {
        Self { status: 408, text, retry_after: None, location: None }
    }

    /// 502: the worker died or answered something that is not HTTP, and the request may not be sent again.
    #[must_use]
    pub fn bad_gateway(text: &'a str) -> Self {
        Self { status: 502, text, retry_after: None, location: None }
    }

    /// 503: no worker took the request; it is worth trying again after `retry_after`.
    #[must_use]
    pub fn unavailable(text: &'a str, retry_after: Duration) -> Self {
        Self { status: 503, text, retry_after: Some(retry_after), location: None }
    }

    /// 504: the worker did not answer in time.
    #[must_use]
    pub fn gateway_timeout(text: &'a str) -> Self {
        Self { status: 504, text, retry_after: None, location: None }
    }

    /// Writes head and body.
    pub fn write(&self, to: &AnswerTo, out: &mut Vec<u8>) {
        let Answer { status, text, .. } = self;
        let reason = reason(*status);
        let body = format!("{status} {reason}: {text}\n");
        let mut head = format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n\
             Content-Length: {}\r\n",
            body.len()
        );
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            head.push_str(&format!("Retry-After: {seconds}\r\n"));
        }
        if let Some(location) = self.location {
            head.push_str(&format!("Location: {location}\r\n"));
        }
        match (to.keep_alive, to.version) {
            (false, _) => head.push_str("Connection: close\r\n"),
            (true, Version::Http10) => head.push_str("Connection: keep-alive\r\n"),
            (true, Version::Http11) => (),
        }
        head.push_str("\r\n");
        out.extend_from_slice(head.as_bytes());
        if !to.head {
            out.extend_from_slice(body.as_bytes());
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        308 => "Permanent Redirect",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Answer, AnswerTo, Version};

    #[track_caller]
    fn check(answer: Answer<'_>, to: AnswerTo, expected: &[&str]) {
        let mut out = Vec::new();
        answer.write(&to, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.split("\r\n").collect::<Vec<_>>(), expected);
    }

    const TO: AnswerTo = AnswerTo { head: false, version: Version::Http11, keep_alive: true };

    #[test]
    fn unavailable_says_when_to_come_back() {
        check(
            Answer::unavailable("no worker is ready", Duration::from_millis(1_001)),
            TO,
            &[
                "HTTP/1.1 503 Service Unavailable",
                "Content-Type: text/plain; charset=utf-8",
                "Cache-Control: no-store",
                "Content-Length: 44",
                "Retry-After: 2",
                "",
                "503 Service Unavailable: no worker is ready\n",
            ],
        );
    }

    #[test]
    fn answer_to_head_announces_its_body_only() {
        check(
            Answer::bad_gateway("the worker died"),
            AnswerTo { head: true, version: Version::Http10, ..TO },
            &[
                "HTTP/1.1 502 Bad Gateway",
                "Content-Type: text/plain; charset=utf-8",
                "Cache-Control: no-store",
                "Content-Length: 33",
                "Connection: keep-alive",
                "",
                "",
            ],
        );
    }

    #[test]
    fn closing_is_said_in_both_versions() {
        for version in [Version::Http10, Version::Http11] {
            let mut out = Vec::new();
            Answer::gateway_timeout("x")
                .write(&AnswerTo { keep_alive: false, version, head: true }, &mut out);
            assert!(out.ends_with(b"\r\nConnection: close\r\n\r\n"));
        }
    }
}
