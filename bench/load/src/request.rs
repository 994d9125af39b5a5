//! The bytes of one request: made once for each connection, then only stamped with the request's number.

use std::fmt::Write as _;

use crate::config::Config;

/// Digits of a request's number, in the header and at the start of the body.
const DIGITS: usize = 12;

/// Head and body in one piece, so that a small request is one write.
#[derive(Debug)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    body_at: usize,
    stamps: Vec<usize>,
}

impl Request {
    pub(crate) fn new(config: &Config) -> Request {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\n", config.method.name(), config.path);
        let mut stamps = Vec::new();
        if let Some(name) = &config.id_header {
            let _ = write!(head, "{name}: {}", config.id_prefix);
            stamps.push(head.len());
            let _ = write!(head, "{:0DIGITS$}\r\n", 0);
        }
        for header in &config.headers {
            let _ = write!(head, "{header}\r\n");
        }
        if config.body_bytes > 0 {
            let _ = write!(
                head,
                "Content-Type: application/octet-stream\r\nContent-Length: {}\r\n",
                config.body_bytes
            );
        }
        head.push_str(if config.keep_alive { "\r\n" } else { "Connection: close\r\n\r\n" });
        let body_at = head.len();
        let mut bytes = head.into_bytes();
        // A pattern with a period that is no power of two, so that a block put in the wrong place is seen.
        bytes.extend((0..config.body_bytes).map(|index| b'a' + (index % 23) as u8));
        if config.body_bytes >= DIGITS {
            stamps.push(body_at);
            stamps.push(bytes.len() - DIGITS);
        }
        Request { bytes, body_at, stamps }
    }

    /// Makes it the request with this number.
    pub(crate) fn stamp(&mut self, number: u64) {
        let mut digits = [b'0'; DIGITS];
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        for at in &self.stamps {
            self.bytes[*at..*at + DIGITS].copy_from_slice(&digits);
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[self.body_at..]
    }
}

/// The identity of request `number`, as its header carries it.
pub(crate) fn identity(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:0DIGITS$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Method, Target};

    #[test]
    fn number_stands_in_the_header_and_at_both_ends_of_the_body() {
        let mut config = Config::new(Target::port(1));
        config.method = Method::Post;
        config.path = "/x".to_owned();
        config.body_bytes = 30;
        config.id_header = Some("x-id".to_owned());
        config.id_prefix = "run-".to_owned();
        let mut request = Request::new(&config);
        request.stamp(42);
        assert_eq!(
            String::from_utf8_lossy(request.bytes()),
            "POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nx-id: run-000000000042\r\nContent-Type: \
             application/octet-stream\r\nContent-Length: 30\r\n\r\n000000000042mnopqr000000000042"
        );
        assert_eq!(request.body().len(), 30);
        assert_eq!(identity("run-", 42), "run-000000000042");
    }

    #[test]
    fn a_connection_per_request_says_close() {
        let mut config = Config::new(Target::port(1));
        config.keep_alive = false;
        assert!(
            String::from_utf8_lossy(Request::new(&config).bytes()).contains("\r\nConnection: close\r\n\r\n")
        );
    }
}
