//! Whatever JavaScript can say comes as it is, goes back as it was, and is what JSON would make of it if that is asked for;
//! with each version of Node.js there is, because the format is V8's own affair.

use serde_json::json;
use stead_process::channel::{Serialization, Structured, ViewKind};

use super::{echo, node_of, nodes, said, within};

/// Sends one of each, and says of each that comes back whether it is the same.
const PROGRAM: &str = "
const util = require('util');
const date = new Date(1e12), error = Object.assign(new TypeError('wrong'), { stack: 's', cause: 1 });
const values = [
  undefined, null, true, -1, 1.5, -0, NaN, 2 ** 40, 'é', '日本\\u{1F600}', 123n, -(2n ** 100n), 0n,
  date, new Date(NaN), /a\\/b/gi, [1, , 3], [], { a: { b: [] }, 1: undefined },
  new Map([['k', { v: 1 }], [{}, new Set([1, 'x'])]]), new Set(),
  new RangeError('far'), Buffer.from('hi'), new Uint8Array([1, 2]), new Int8Array([-1]),
  new Uint8ClampedArray([255]), new Int16Array([-300]), new Uint16Array([300]), new Int32Array([-70000]),
  new Uint32Array([70000]), new Float32Array([1.5]), new Float64Array([Math.PI]), new BigInt64Array([-1n]),
  new BigUint64Array([2n ** 63n]), new DataView(new ArrayBuffer(3)), new ArrayBuffer(2), Buffer.alloc(100000, 7),
];
let next = 0;
process.on('message', ({ value }) => {
  const sent = values[next++];
  const hole = Array.isArray(sent) && sent.length === 3;
  const same = hole ? value.length === 3 && value[2] === 3
    : sent instanceof Date ? String(value) === String(sent) : util.isDeepStrictEqual(value, sent);
  const kind = (v) => Object.prototype.toString.call(v) + (v && v.constructor && v.constructor.name);
  process.send({ same: same && kind(value) === kind(sent), sent: util.inspect(sent), value: util.inspect(value) });
});
for (const value of values) process.send({ value });
process.send('all');
";

#[tokio::test]
async fn everything_goes_there_and_back() {
    for program in nodes() {
        let mut forked = node_of(&program, PROGRAM).fork_with(Serialization::Advanced).unwrap();
        let mut values = Vec::new();
        loop {
            let message = within("a value", forked.channel.recv()).await.unwrap().unwrap();
            match message.structured().unwrap() {
                Structured::String(_) => break,
                value => values.push(value),
            }
        }
        assert_eq!(values.len(), 37, "{program}");
        for value in values {
            forked.channel.sender.send_structured(&value).await.unwrap();
            let verdict = said(within("a verdict", forked.channel.recv()).await);
            assert_eq!(
                verdict["same"], true,
                "{program}: {} came back as {}",
                verdict["sent"], verdict["value"]
            );
        }
    }
}

#[test]
fn a_value_made_here_is_what_it_is_called_there() {
    let script = "process.on('message', (m) => process.send(require('util').inspect(m)))";
    let error = Structured::Error {
        name: "RangeError".to_owned(),
        message: Some("far".to_owned()),
        stack: Some("RangeError: far".to_owned()),
        cause: Some(Box::new(Structured::Null)),
    };
    let floats: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|float| float.to_ne_bytes()).collect();
    for program in nodes() {
        let mut forked = node_of(&program, script).fork_blocking(Serialization::Advanced).unwrap();
        for (value, inspected) in [
            (Structured::Undefined, "undefined"),
            (Structured::from(-5i64), "-5n"),
            (Structured::Number(3.0), "3"),
            (Structured::Date(0.0), "1970-01-01T00:00:00.000Z"),
            (Structured::Set(vec!["a".into()]), "Set(1) { 'a' }"),
            (Structured::Map(vec![(1.0.into(), vec![1u8].into())]), "Map(1) { 1 => <Buffer 01> }"),
            (Structured::RegExp { source: "x".to_owned(), flags: 3 }, "/x/gi"),
            (
                Structured::View { kind: ViewKind::Float32Array, bytes: floats.clone() },
                "Float32Array(2) [ 1.5, -2 ]",
            ),
            (error.clone(), "[RangeError: far] { [cause]: null }"),
        ] {
            forked.channel.send_structured(&value).unwrap();
            assert_eq!(said(forked.channel.recv()), inspected, "{program}");
        }
    }
}

#[tokio::test]
async fn a_socket_s_message_keeps_what_json_has_no_word_for() {
    let script = "
const server = require('net').createServer((c) => process.send(new Map([[1n, new Date(0)]]), c));
server.listen(0, '127.0.0.1', () => process.send(server.address().port));";
    let mut forked = echo("async").fork_with(Serialization::Advanced).unwrap();
    for program in nodes() {
        let mut sender = node_of(&program, script).fork_with(Serialization::Advanced).unwrap();
        let port = said(within("the port", sender.channel.recv()).await).as_u64().unwrap();
        let _client = std::net::TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
        let mut message = within("a connection", sender.channel.recv()).await.unwrap().unwrap();
        assert!(message.take_handle().is_some());
        let one = Structured::BigInt { negative: false, magnitude: vec![1] };
        assert_eq!(message.structured().unwrap(), Structured::Map(vec![(one, Structured::Date(0.0))]));
        assert_eq!(message.value().unwrap(), json!([[1, "1970-01-01T00:00:00.000Z"]]));

        forked.channel.sender.send_raw(message.bytes()).await.unwrap();
        let back = within("an echo", forked.channel.recv()).await.unwrap().unwrap();
        assert_eq!(back.bytes(), message.bytes(), "{program}");
    }
}

#[tokio::test]
async fn in_json_it_becomes_json() {
    let mut forked = echo("blocking").fork().unwrap();
    let value = Structured::Set(vec![Structured::Undefined, Structured::Date(f64::NAN), "x".into()]);
    forked.channel.sender.send_structured(&value).await.unwrap();
    assert_eq!(said(within("an echo", forked.channel.recv()).await), json!([null, null, "x"]));
}
