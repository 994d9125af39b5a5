//! The `Connection` header field (RFC 9110 §7.6.1): how the connection goes on, and which other fields belong to this
//! hop only.

use httparse::Header;

use super::field::Field;

/// More names than this in `Connection` are refused: each costs a comparison with every field.
const OPTIONS_MAX: usize = 32;

/// What `Connection` said, all its lines together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connection {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// It names fields that must not be passed on.
    pub(super) names_fields: bool,
    count: usize,
}

/// `Connection` names more than [`OPTIONS_MAX`] others.
#[derive(Debug)]
pub(super) struct TooManyOptions;

impl Connection {
    /// Takes the value of one `Connection` line.
    pub(super) fn add(&mut self, value: &[u8]) -> Result<(), TooManyOptions> {
        for option in list(value) {
            self.count += 1;
            if self.count > OPTIONS_MAX {
                return Err(TooManyOptions);
            }
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                _ => self.names_fields = true,
            }
        }
        Ok(())
    }

    /// Whether the field called `name` is named by a `Connection` line among `headers`.
    pub(super) fn names(&self, name: &str, headers: &[Header<'_>]) -> bool {
        self.names_fields
            && headers
                .iter()
                .filter(|header| Field::of(header.name) == Field::Connection)
                .flat_map(|header| list(header.value))
                .any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// The members of a comma-separated list (RFC 9110 §5.6.1), without empty ones. Not for lists with quoted strings.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Connection, Header, OPTIONS_MAX};

    #[track_caller]
    fn check(lines: &[&str], [close, keep_alive, upgrade]: [bool; 3], named: &[&str]) {
        let mut connection = Connection::default();
        for line in lines {
            connection.add(line.as_bytes()).unwrap();
        }
        assert_eq!(
            (connection.close, connection.keep_alive, connection.upgrade),
            (close, keep_alive, upgrade)
        );
        let headers: Vec<Header<'_>> =
            lines.iter().map(|line| Header { name: "connection", value: line.as_bytes() }).collect();
        for name in ["X-A", "x-b", "close-"] {
            assert_eq!(connection.names(name, &headers), named.contains(&name), "{name} in {lines:?}");
        }
    }

    #[test]
    fn all_lines_count_together() {
        check(&[], [false; 3], &[]);
        check(&["close"], [true, false, false], &[]);
        check(&["Keep-Alive, UPGRADE"], [false, true, true], &[]);
        check(&["keep-alive", ",, close ,"], [true, true, false], &[]);
        check(&["closed, xclose, upgrade2"], [false; 3], &[]);
        check(&["x-a", "close,\tX-B"], [true, false, false], &["X-A", "x-b"]);
    }

    #[test]
    fn number_of_options_is_limited() {
        let mut connection = Connection::default();
        assert!(connection.add("a,".repeat(OPTIONS_MAX).as_bytes()).is_ok());
        assert!(connection.add(b"a").is_err());
    }
}
