//! Which header fields mean something to a proxy.
//!
//! Compared by length first and without copying. Programs that read headers as environment variables (CGI, WSGI, Rack)
//! cannot tell `_` from `-`, so a client could send `X_Forwarded_For` past us; such look-alikes of names that matter
//! are recognised to be dropped.

/// A header field's meaning for the proxy, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// What a proxy says about the client's certificate (RFC 9440).
    ClientCertificate,
    Connection,
    ContentLength,
    Expect,
    Forwarded,
    ForwardedFor,
    ForwardedHost,
    ForwardedProto,
    /// Any other `X-Forwarded-*`, and `X-Real-IP`.
    ForwardedOther,
    Host,
    IdempotencyKey,
    KeepAlive,
    /// `X-Request-Id`
    RequestId,
    /// `X-Request-Timeout`
    RequestTimeout,
    TraceParent,
    TraceState,
    /// Of one hop, and of no use to anybody here: `Proxy-Connection`, `HTTP2-Settings`, and `Proxy`, which CGI
    /// programs would take for the variable `HTTP_PROXY`.
    Dropped,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    /// A name that matters, written with `_`.
    LookAlike,
    Other,
}

impl Field {
    #[inline]
    pub(super) fn of(name: &str) -> Field {
        let name = name.as_bytes();
        let field = match name.len() {
            2 if is(name, b"te") => Field::Te,
            4 if is(name, b"host") => Field::Host,
            5 if is(name, b"proxy") => Field::Dropped,
            6 if is(name, b"expect") => Field::Expect,
            7 if is(name, b"upgrade") => Field::Upgrade,
            7 if is(name, b"trailer") => Field::Trailer,
            9 if is(name, b"forwarded") => Field::Forwarded,
            9 if is(name, b"x-real-ip") => Field::ForwardedOther,
            10 if is(name, b"connection") => Field::Connection,
            10 if is(name, b"keep-alive") => Field::KeepAlive,
            10 if is(name, b"tracestate") => Field::TraceState,
            11 if is(name, b"client-cert") => Field::ClientCertificate,
            11 if is(name, b"traceparent") => Field::TraceParent,
            12 if is(name, b"x-request-id") => Field::RequestId,
            14 if is(name, b"content-length") => Field::ContentLength,
            14 if is(name, b"http2-settings") => Field::Dropped,
            15 if is(name, b"x-forwarded-for") => Field::ForwardedFor,
            // Not dropped when written with `_`: somebody's own field then.
            15 if name.eq_ignore_ascii_case(b"idempotency-key") => Field::IdempotencyKey,
            16 if is(name, b"x-forwarded-host") => Field::ForwardedHost,
            16 if is(name, b"proxy-connection") => Field::Dropped,
            17 if is(name, b"x-forwarded-proto") => Field::ForwardedProto,
            17 if is(name, b"x-request-timeout") => Field::RequestTimeout,
            17 if is(name, b"transfer-encoding") => Field::TransferEncoding,
            17 if is(name, b"client-cert-chain") => Field::ClientCertificate,
            21 if is(name, b"x-client-cert-subject") => Field::ClientCertificate,
            13.. if is(&name[..12], b"x-forwarded-") => Field::ForwardedOther,
            _ => return Field::Other,
        };
        if name.contains(&b'_') { Field::LookAlike } else { field }
    }
}

/// Whether `name` is `lower` but for case and `_` in the place of `-`. Both have the same length.
#[inline]
fn is(name: &[u8], lower: &[u8]) -> bool {
    // The first letter tells most names apart.
    name[0] | 0x20 == lower[0] && name.iter().zip(lower).all(|(byte, expected)| fold(*byte) == *expected)
}

#[inline]
fn fold(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::Field;

    #[track_caller]
    fn check(names: &[&str], expected: Field) {
        for name in names {
            assert_eq!(Field::of(name), expected, "{name}");
        }
    }

    #[test]
    fn names_are_known_in_any_case() {
        check(&["TE", "te"], Field::Te);
        check(&["Host", "HOST", "hOsT"], Field::Host);
        check(&["Content-Length", "content-length"], Field::ContentLength);
        check(&["Transfer-Encoding", "TRANSFER-ENCODING"], Field::TransferEncoding);
        check(&["X-Forwarded-For", "x-forwarded-for"], Field::ForwardedFor);
        check(&["X-Forwarded-Port", "x-forwarded-a", "X-Real-IP"], Field::ForwardedOther);
        check(&["Idempotency-Key"], Field::IdempotencyKey);
        check(&["Client-Cert", "client-cert-chain", "X-Client-Cert-Subject"], Field::ClientCertificate);
        check(&["X-Request-ID"], Field::RequestId);
        check(&["X-Request-Timeout"], Field::RequestTimeout);
        check(&["Traceparent"], Field::TraceParent);
        check(&["TraceState"], Field::TraceState);
        check(&["Proxy", "Proxy-Connection", "HTTP2-Settings"], Field::Dropped);
    }

    #[test]
    fn look_alikes_are_found() {
        let names = [
            "X_Client_Cert_Subject",
            "X_Forwarded_For",
            "x-forwarded_port",
            "Content_Length",
            "Transfer_Encoding",
            "KEEP_ALIVE",
        ];
        check(&names, Field::LookAlike);
    }

    #[test]
    fn names_that_only_begin_alike_are_others() {
        let names =
            ["", "H", "Hosts", "X-Forwarded-", "X-Forwarded", "Cookie", "Idempotency_Key", "Content-Type"];
        check(&names, Field::Other);
    }
}
