//! The words of Node.js's cluster protocol, between a primary (us) and a worker.
//!
//! Pure: values in, values out. What has to be answered, and in what order, stands with each message;
//! `channel.rs` carries them.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

/// The `cmd` of every cluster message.
pub(super) const COMMAND: &str = "NODE_CLUSTER";

/// What a worker says to its primary.
#[derive(Debug, Clone, PartialEq)]
pub enum FromWorker {
    /// Its Node.js runs; nothing of the program has run yet.
    Online,
    /// A server wants to listen. Must be answered with [`ClusterMessage::Answer`], unless the worker was told
    /// to disconnect: without an answer the program waits for ever.
    QueryServer(Query),
    /// A server listens; the port is the real one.
    Listening(Query),
    /// The server behind this key takes no more connections.
    Close {
        /// The key given in the answer.
        key: String,
    },
    /// The worker is about to leave because it wants to. It leaves when this is answered with
    /// [`ClusterMessage::Acknowledge`].
    ExitedAfterDisconnect {
        /// What to acknowledge.
        seq: u64,
    },
    /// What became of a connection.
    Accepted {
        /// The number that sending [`ClusterMessage::NewConnection`] returned.
        ack: u64,
        /// False: the server is closing, or full, and the connection must go to another worker.
        accepted: bool,
    },
    /// A message of a Node.js newer than this file. Harmless.
    Unknown(Value),
}

impl FromWorker {
    /// Reads a message whose `cmd` is `NODE_CLUSTER`.
    #[must_use]
    pub fn parse(message: Value) -> Self {
        let known = match (message["act"].as_str(), message["ack"].as_u64()) {
            (Some("online"), _) => Some(Self::Online),
            (Some("queryServer"), _) => Query::parse(&message).map(Self::QueryServer),
            (Some("listening"), _) => Query::parse(&message).map(Self::Listening),
            (Some("close"), _) => message["key"].as_str().map(|key| Self::Close { key: key.to_owned() }),
            (Some("exitedAfterDisconnect"), _) => {
                message["seq"].as_u64().map(|seq| Self::ExitedAfterDisconnect { seq })
            }
            (None, Some(ack)) => {
                message["accepted"].as_bool().map(|accepted| Self::Accepted { ack, accepted })
            }
            _ => None,
        };
        known.unwrap_or(Self::Unknown(message))
    }
}

/// What a server asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The number to answer.
    pub seq: u64,
    /// How many times this worker listens on the same address already.
    pub index: u64,
    /// Must be echoed in the answer; for TLS the session ticket keys. The first worker's go to all, so that
    /// clients can resume on any.
    pub data: Value,
    /// An address, or an absolute path. None: any address, `::` if there is IPv6, else `0.0.0.0`.
    pub address: Option<String>,
    /// None for a descriptor; negative for a path; 0 for any port, the same for all workers of one program.
    pub port: Option<i64>,
    /// What `address` is.
    pub address_type: AddressType,
    /// A descriptor number in the *parent*; negative means none.
    pub fd: Option<i64>,
    /// TCP: bit 0 is `IPV6_V6ONLY`. UDP: the same, and bit 2 is `SO_REUSEADDR`.
    pub flags: u64,
    /// 0 means the default, 511.
    pub backlog: u64,
    /// A path that everybody may read.
    pub readable_all: bool,
    /// A path that everybody may write.
    pub writable_all: bool,
    /// What the server speaks, if the preload was there to look.
    pub kind: Option<ServerKind>,
}

/// What kind of address a server asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressType {
    /// TCP over IPv4; also a server that named no address at all.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// A Unix socket's path.
    Unix,
    /// UDP over IPv4. Can only be answered with a shared descriptor.
    Udp4,
    /// UDP over IPv6. Can only be answered with a shared descriptor.
    Udp6,
    /// A descriptor that is open already.
    Fd,
}

impl AddressType {
    fn parse(value: &Value) -> Option<Self> {
        match (value.as_i64(), value.as_str()) {
            (Some(4), _) => Some(Self::Tcp4),
            (Some(6), _) => Some(Self::Tcp6),
            (Some(-1), _) => Some(Self::Unix),
            (_, Some("udp4")) => Some(Self::Udp4),
            (_, Some("udp6")) => Some(Self::Udp6),
            _ => value.is_null().then_some(Self::Fd),
        }
    }

    /// As JavaScript spells it.
    const fn text(self) -> &'static str {
        match self {
            Self::Tcp4 => "4",
            Self::Tcp6 => "6",
            Self::Unix => "-1",
            Self::Udp4 => "udp4",
            Self::Udp6 => "udp6",
            Self::Fd => "null",
        }
    }
}

/// What a server speaks, by its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerKind {
    /// HTTP/1.1 in the clear: can be proxied request by request.
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/2, in the clear or over TLS.
    Http2,
    /// TLS with something else inside.
    Tls,
    /// Bytes.
    Net,
}

impl ServerKind {
    fn parse(value: &Value) -> Option<Self> {
        match value.as_str()? {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            "http2" => Some(Self::Http2),
            "tls" => Some(Self::Tls),
            "net" => Some(Self::Net),
            _ => None,
        }
    }
}

impl Query {
    fn parse(message: &Value) -> Option<Self> {
        Some(Self {
            seq: message["seq"].as_u64()?,
            index: message["index"].as_u64().unwrap_or(0),
            data: message["data"].clone(),
            address: message["address"].as_str().map(str::to_owned),
            port: message["port"].as_i64(),
            address_type: AddressType::parse(&message["addressType"])?,
            fd: message["fd"].as_i64(),
            flags: message["flags"].as_u64().unwrap_or(0),
            backlog: message["backlog"].as_u64().unwrap_or(0),
            readable_all: message["readableAll"].as_bool().unwrap_or(false),
            writable_all: message["writableAll"].as_bool().unwrap_or(false),
            kind: ServerKind::parse(&message["stead"]),
        })
    }

    /// Names the listener, unique among those of one worker; spelled as Node.js's own primary does.
    #[must_use]
    pub fn key(&self) -> String {
        let address = self.address.as_deref().unwrap_or("null");
        let port = self.port.map_or_else(|| "null".to_owned(), |port| port.to_string());
        let fd = self.fd.map_or_else(|| "undefined".to_owned(), |fd| fd.to_string());
        format!("{address}:{port}:{}:{fd}:{}", self.address_type.text(), self.index)
    }

    /// Whether it asks for TCP, by address or by descriptor.
    #[must_use]
    pub const fn is_tcp(&self) -> bool {
        matches!(self.address_type, AddressType::Tcp4 | AddressType::Tcp6)
    }
}

/// What a primary says to its worker.
#[derive(Debug, Clone, PartialEq)]
pub enum ClusterMessage {
    /// The answer to [`FromWorker::QueryServer`]. With a descriptor the worker accepts from it by itself
    /// (UDP: reads from it); without, it waits for [`ClusterMessage::NewConnection`].
    Answer {
        /// The query's `seq`.
        ack: u64,
        /// Names the listener from now on, see [`Query::key`].
        key: String,
        /// The system's error number (98 is "address in use"): the program gets an ordinary `error` event,
        /// and the key is free again.
        errno: Option<i32>,
        /// The first worker's `Query::data`; an https worker dies of `null`.
        data: Value,
        /// What `server.address()` shall say, see [`socket_name`]. It must be the truth: frameworks compare.
        /// None for a path and with a descriptor.
        sockname: Option<Value>,
    },
    /// A connection for a listener. Always with a descriptor: a worker dies without.
    NewConnection {
        /// The listener's.
        key: String,
        /// Whose connection it is, see [`socket_name`]. None on a socket pair that carries proxied HTTP: then
        /// each request names its client in `Forwarded`. Any other use of a socket pair must say it, or the
        /// client could name itself.
        remote: Option<Value>,
    },
    /// Close all servers, finish, close the channel. It is held back until all descriptors sent before have
    /// arrived.
    Disconnect,
    /// The answer to [`FromWorker::ExitedAfterDisconnect`].
    Acknowledge {
        /// Its `seq`.
        ack: u64,
    },
}

impl ClusterMessage {
    /// The message as it is sent, with its number. `shared` tells whether a descriptor goes along.
    #[must_use]
    pub fn build(self, seq: u64, shared: bool) -> Value {
        let mut message = Map::new();
        message.insert("cmd".to_owned(), COMMAND.into());
        message.insert("seq".to_owned(), seq.into());
        let mut set = |name: &str, value: Value| message.insert(name.to_owned(), value);
        match self {
            Self::Answer { ack, key, errno, data, sockname } => {
                set("ack", ack.into());
                set("key", key.into());
                set("data", data);
                set(
                    "errno",
                    match errno {
                        Some(errno) => (-errno.abs()).into(),
                        None if shared => 0.into(),
                        None => Value::Null,
                    },
                );
                if let Some(sockname) = sockname {
                    set("sockname", sockname);
                }
            }
            Self::NewConnection { key, remote } => {
                set("act", "newconn".into());
                set("key", key.into());
                if let Some(remote) = remote {
                    set("remote", remote);
                }
            }
            Self::Disconnect => {
                set("act", "disconnect".into());
            }
            Self::Acknowledge { ack } => {
                set("ack", ack.into());
            }
        }
        Value::Object(message)
    }
}

/// An address as Node.js shows it: `{address, family, port}`.
#[must_use]
pub fn socket_name(address: SocketAddr) -> Value {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    json!({ "address": address.ip().to_string(), "family": family, "port": address.port() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_key(message: Value, expected: &str) {
        let FromWorker::QueryServer(query) = FromWorker::parse(message) else { panic!("a query") };
        assert_eq!(query.key(), expected);
    }

    fn query(fields: Value) -> Value {
        let mut message = json!({"cmd": COMMAND, "act": "queryServer", "seq": 1, "index": 0, "data": null});
        let (Value::Object(all), Value::Object(more)) = (&mut message, fields) else { panic!("objects") };
        all.extend(more);
        message
    }

    #[test]
    fn keys_are_node_s_own() {
        check_key(query(json!({"address": null, "port": 8080, "addressType": 4})), "null:8080:4:undefined:0");
        check_key(
            query(json!({"address": "::1", "port": 0, "addressType": 6, "flags": 1, "index": 2})),
            "::1:0:6:undefined:2",
        );
        check_key(query(json!({"address": "/a", "port": -1, "addressType": -1})), "/a:-1:-1:undefined:0");
        check_key(
            query(json!({"address": null, "port": null, "addressType": null, "fd": 3})),
            "null:null:null:3:0",
        );
        check_key(
            query(json!({"address": "127.0.0.1", "port": 53, "addressType": "udp4", "fd": -1})),
            "127.0.0.1:53:udp4:-1:0",
        );
    }

    fn check(message: Value, expected: &FromWorker) {
        assert_eq!(FromWorker::parse(message), *expected);
    }

    #[test]
    fn what_a_worker_says_is_understood() {
        check(json!({"act": "online", "seq": 0}), &FromWorker::Online);
        check(json!({"act": "close", "key": "k", "seq": 3}), &FromWorker::Close { key: "k".to_owned() });
        check(
            json!({"act": "exitedAfterDisconnect", "seq": 4}),
            &FromWorker::ExitedAfterDisconnect { seq: 4 },
        );
        check(
            json!({"ack": 7, "accepted": false, "seq": 5}),
            &FromWorker::Accepted { ack: 7, accepted: false },
        );
        check(
            query(
                json!({"address": "/a", "port": -1, "addressType": -1, "readableAll": true, "stead": "http"}),
            ),
            &FromWorker::QueryServer(Query {
                seq: 1,
                index: 0,
                data: Value::Null,
                address: Some("/a".to_owned()),
                port: Some(-1),
                address_type: AddressType::Unix,
                fd: None,
                flags: 0,
                backlog: 0,
                readable_all: true,
                writable_all: false,
                kind: Some(ServerKind::Http),
            }),
        );
    }

    #[test]
    fn what_is_not_understood_is_kept() {
        for message in [
            json!({}),
            json!({"act": "new", "seq": 1}),
            json!({"act": "close"}),
            json!({"ack": 1}),
            json!({"act": "queryServer", "addressType": 4}),
            query(json!({"addressType": "tcp9"})),
        ] {
            check(message.clone(), &FromWorker::Unknown(message));
        }
    }

    #[test]
    fn answers_are_built_as_node_reads_them() {
        let answer = |errno, sockname| ClusterMessage::Answer {
            ack: 1,
            key: "k".to_owned(),
            errno,
            data: json!({"ticketKeys": "00"}),
            sockname,
        };
        let name = socket_name("[::1]:80".parse().unwrap());
        assert_eq!(name, json!({"address": "::1", "family": "IPv6", "port": 80}));
        assert_eq!(
            answer(None, Some(name.clone())).build(5, false),
            json!({"cmd": COMMAND, "seq": 5, "ack": 1, "key": "k", "errno": null, "data": {"ticketKeys": "00"}, "sockname": name})
        );
        assert_eq!(answer(None, None).build(5, true)["errno"], json!(0));
        assert_eq!(answer(Some(98), None).build(5, false)["errno"], json!(-98));
        assert_eq!(
            ClusterMessage::NewConnection { key: "k".to_owned(), remote: None }.build(6, true),
            json!({"cmd": COMMAND, "seq": 6, "act": "newconn", "key": "k"})
        );
        assert_eq!(ClusterMessage::Disconnect.build(7, false)["act"], json!("disconnect"));
        assert_eq!(ClusterMessage::Acknowledge { ack: 3 }.build(8, false)["ack"], json!(3));
    }
}
