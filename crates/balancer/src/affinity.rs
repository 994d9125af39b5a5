//! What of a request says where it belongs: the key of its shard, or the cookie that names its slot.
//!
//! Reads the head of a request and writes one header field. Who owns a key is in `shards.rs`, what follows from it in
//! `schedule.rs`. Names and values count as they are written: nothing is decoded, because programs decode differently.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::http::{Header, Request, Target};
use crate::shards::{Place, hash};
use crate::sticky::Sticky;

/// Which part of a request is the key of its shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ShardKey {
    /// The value of a cookie.
    Cookie(String),
    /// The value of a header field.
    Header(String),
    /// The value of a parameter in the query.
    Query(String),
    /// A segment of the path, from 1.
    Path(usize),
    /// The client's IP address.
    Client,
}

/// What ties requests to workers; nothing if both are off.
#[derive(Debug, Clone, Default)]
pub struct Affinity {
    /// Requests with the same key go to the same slot.
    pub shard: Option<ShardKey>,
    /// Requests without such a key go to the slot that their cookie names.
    pub sticky: Option<Sticky>,
}

impl Affinity {
    /// Where a request belongs. `trust`: what it says of its client is believed.
    pub(crate) fn place(&self, head: &Request<'_, '_>, client: Option<SocketAddr>, trust: bool) -> Place {
        if let Some(key) = self.shard.as_ref().and_then(|shard| shard.read(head, client, trust)) {
            return Place::Key(key);
        }
        let named =
            |sticky: &Sticky| cookies(head.headers, &sticky.cookie).find_map(|value| sticky.slot(value));
        self.sticky.as_ref().and_then(named).map_or(Place::Any, Place::Slot)
    }

    /// Where a whole connection belongs, of which nothing is read.
    pub(crate) fn place_of_client(&self, client: Option<SocketAddr>) -> Place {
        match (&self.shard, client) {
            (Some(ShardKey::Client), Some(client)) => Place::Key(hash_address(client.ip())),
            _ => Place::Any,
        }
    }
}

impl ShardKey {
    /// The number of a key that is written out.
    pub(crate) fn hash_of(&self, key: &str) -> u64 {
        match self {
            ShardKey::Client => key.parse().map_or_else(|_| hash(key.as_bytes()), hash_address),
            _ => hash(key.as_bytes()),
        }
    }

    fn read(&self, head: &Request<'_, '_>, client: Option<SocketAddr>, trust: bool) -> Option<u64> {
        let key = match self {
            ShardKey::Cookie(name) => cookies(head.headers, name).find(|value| !value.is_empty()),
            ShardKey::Header(name) => field(head.headers, name),
            ShardKey::Query(name) => parameter(query(&head.target), name),
            ShardKey::Path(number) => {
                let segments = head.target.path().split('/').skip(1);
                segments.filter(|segment| !segment.is_empty()).nth(number - 1).map(str::as_bytes)
            }
            ShardKey::Client => {
                let believed = if trust { field(head.headers, "x-forwarded-for") } else { None };
                let first = believed.and_then(|list| list.split(|byte| *byte == b',').next());
                let Some(first) = first.and_then(|first| std::str::from_utf8(first).ok()) else {
                    return client.map(|client| hash_address(client.ip()));
                };
                return Some(self.hash_of(first.trim()));
            }
        };
        key.map(hash)
    }
}

/// One that came over IPv6 from an IPv4 address is the same client.
fn hash_address(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => hash(&address.octets()),
        IpAddr::V6(address) => hash(&address.octets()),
    }
}

/// The first field of this name that says something.
fn field<'b>(headers: &[Header<'b>], name: &str) -> Option<&'b [u8]> {
    let named = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| header.value.trim_ascii()).find(|value| !value.is_empty())
}

/// All cookies of this name.
fn cookies<'b>(headers: &[Header<'b>], name: &str) -> impl Iterator<Item = &'b [u8]> {
    let fields = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("cookie"));
    let pairs = fields.flat_map(|header| header.value.split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

fn query<'b>(target: &Target<'b>) -> &'b str {
    let (Target::Origin(text) | Target::Absolute { path_and_query: text, .. }) = *target else { return "" };
    text.split_once('?').map_or("", |(_, query)| query)
}

fn parameter<'b>(query: &'b str, name: &str) -> Option<&'b [u8]> {
    let mut pairs = query.split('&').filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    pairs.find(|value| !value.is_empty()).map(str::as_bytes)
}

/// What is no key of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of `cookie:NAME`, `header:NAME`, `query:NAME`, `path:NUMBER`, `client`")]
pub struct NoShardKey(String);

impl FromStr for ShardKey {
    type Err = NoShardKey;

    fn from_str(text: &str) -> Result<Self, NoShardKey> {
        let wrong = || NoShardKey(text.to_owned());
        if text == "client" {
            return Ok(ShardKey::Client);
        }
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        let is_name = |name: &str| {
            let allowed = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
            !name.is_empty() && name.chars().all(allowed)
        };
        let is_parameter = |name: &str| {
            !name.is_empty()
                && name.chars().all(|letter| letter.is_ascii_graphic() && !"&=#".contains(letter))
        };
        match (kind, rest) {
            ("cookie", name) if is_name(name) => Ok(ShardKey::Cookie(name.to_owned())),
            ("header", name) if is_name(name) => Ok(ShardKey::Header(name.to_owned())),
            ("query", name) if is_parameter(name) => Ok(ShardKey::Query(name.to_owned())),
            ("path", number) => match number.parse() {
                Ok(number) if number > 0 => Ok(ShardKey::Path(number)),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for ShardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShardKey::Cookie(name) => write!(f, "cookie:{name}"),
            ShardKey::Header(name) => write!(f, "header:{name}"),
            ShardKey::Query(name) => write!(f, "query:{name}"),
            ShardKey::Path(number) => write!(f, "path:{number}"),
            ShardKey::Client => f.write_str("client"),
        }
    }
}

impl TryFrom<String> for ShardKey {
    type Error = NoShardKey;

    fn try_from(text: String) -> Result<Self, NoShardKey> {
        text.parse()
    }
}

impl From<ShardKey> for String {
    fn from(key: ShardKey) -> Self {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeaderSpace, Limits, parse_request};
    use crate::sticky::StickyKey;

    fn place(affinity: &Affinity, target: &str, fields: &str, trust: bool) -> Place {
        let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let limits = Limits { head_bytes_max: 4096, header_count_max: 32, target_bytes_max: 1024 };
        let mut space = HeaderSpace::new();
        let head = parse_request(text.as_bytes(), &limits, &mut space).expect("valid").expect("whole");
        affinity.place(&head, Some(([203, 0, 113, 7], 5000).into()), trust)
    }

    /// `expected`: the key, if there is one.
    #[track_caller]
    fn check(shard: &str, target: &str, fields: &str, expected: Option<&str>) {
        let key: ShardKey = shard.parse().expect("a key");
        let expected = expected.map_or(Place::Any, |text| Place::Key(key.hash_of(text)));
        let affinity = Affinity { shard: Some(key), sticky: None };
        assert_eq!(place(&affinity, target, fields, false), expected, "{shard} {target} {fields:?}");
    }

    #[test]
    fn keys_are_read_from_every_part() {
        check("cookie:id", "/", "Cookie: a=1; id=42;b=2\r\n", Some("42"));
        check("cookie:id", "/", "Cookie: a=1\r\ncookie: xid=5; id=; id=7\r\n", Some("7"));
        check("cookie:id", "/", "Cookie: ID=1; idx=2; id\r\n", None);
        check("header:x-user", "/", "X-User:  anna \r\n", Some("anna"));
        check("header:X-User", "/", "X-User: \r\n", None);
        check("query:room", "/a?x=1&room=9&room=8", "", Some("9"));
        check("query:room", "http://a/p?room=%39", "", Some("%39"));
        check("query:room", "/room=9?rooms=9&room", "", None);
        check("path:2", "/rooms/7/chat?x", "", Some("7"));
        check("path:2", "//rooms//7", "", Some("7"));
        check("path:3", "/rooms/7", "", None);
        check("client", "/", "X-Forwarded-For: 1.2.3.4\r\n", Some("203.0.113.7"));
    }

    #[test]
    fn forwarded_client_counts_where_it_is_believed() {
        let affinity = Affinity { shard: Some(ShardKey::Client), sticky: None };
        let fields = "X-Forwarded-For: 198.51.100.1, 10.0.0.1\r\n";
        let expected = Place::Key(ShardKey::Client.hash_of("198.51.100.1"));
        assert_eq!(place(&affinity, "/", fields, true), expected);
        assert_eq!(ShardKey::Client.hash_of("::ffff:10.0.0.1"), ShardKey::Client.hash_of("10.0.0.1"));
    }

    #[test]
    fn cookie_of_stead_names_a_slot_unless_there_is_a_key() {
        let sticky = Sticky::new("shop", &StickyKey::generate());
        let cookie = format!("Cookie: {}={}\r\n", sticky.cookie, sticky.value(3));
        let affinity = Affinity { shard: Some(ShardKey::Query("id".to_owned())), sticky: Some(sticky) };
        assert_eq!(place(&affinity, "/", &cookie, false), Place::Slot(3));
        assert_eq!(place(&affinity, "/?id=1", &cookie, false), Place::Key(hash(b"1")));
        assert_eq!(place(&affinity, "/", "Cookie: stead_shop=3.00\r\n", false), Place::Any);
        let twice = format!("Cookie: stead_shop=old; a=b\r\n{cookie}");
        assert_eq!(place(&affinity, "/", &twice, false), Place::Slot(3));
    }

    #[test]
    fn keys_are_written_as_they_are_read_and_wrong_ones_are_refused() {
        for text in ["cookie:connect.sid", "header:X-User", "query:room[id]", "path:1", "client"] {
            assert_eq!(text.parse::<ShardKey>().map(|key| key.to_string()).as_deref(), Ok(text));
        }
        for text in
            ["", "cookie", "cookie:", "cookie:a b", "path:0", "path:x", "clients", "body:x", "query:a=b"]
        {
            assert_eq!(text.parse::<ShardKey>(), Err(NoShardKey(text.to_owned())));
        }
    }
}
