//! "There is a proxy before Stead that speaks the PROXY protocol. My programs and logs see the clients, and nobody else can
//! pretend to be one."

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::support::background::Background;
use crate::support::certificates::Authority;
use crate::support::ports::free_port;
use crate::support::{Client, Stead, beside, get, node, soon};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 5678 80\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x16\x2e\0\x50";

/// A header of version 2 that says nothing about a client.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// The address that the program saw, and the one that was forwarded to it.
fn seen(answer: &serde_json::Value) -> (String, String) {
    let headers = answer["headers"].as_array().expect("they are there");
    let at = headers.iter().position(|header| header == "X-Forwarded-For").expect("it is there");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    (text(&answer["remote"]["address"]), text(&headers[at + 1]))
}

fn both(address: &str) -> (String, String) {
    (address.to_owned(), address.to_owned())
}

#[test]
fn program_sees_the_client_that_the_proxy_names() {
    let _turn = beside();
    let stead = Stead::script(node("mirror.js")).set("proxy_protocol", "\"all\"").start();
    for header in [V1, V2] {
        let mut client = Client::connect(stead.port);
        client.send([header, GET.as_bytes()].concat());
        assert_eq!(seen(&client.answer().json()), both("192.0.2.7"));
        // It holds for the whole connection.
        client.send(GET);
        assert_eq!(seen(&client.answer().json()), both("192.0.2.7"));
    }
    // Byte by byte, as the slowest network would bring it.
    let mut client = Client::connect(stead.port);
    V2.iter().chain(GET.as_bytes()).for_each(|byte| {
        client.send([*byte]);
    });
    assert_eq!(seen(&client.answer().json()), both("192.0.2.7"));
    let mut client = Client::connect(stead.port);
    client.send([LOCAL, GET.as_bytes()].concat());
    assert_eq!(seen(&client.answer().json()), both("127.0.0.1"));
}

#[test]
fn who_does_not_introduce_its_client_is_not_served() {
    let _turn = beside();
    let stead = Stead::script(node("mirror.js"))
        .set("proxy_protocol", "\"all\"")
        .set("header_timeout", "500ms")
        .start();
    for first in [GET.as_bytes(), b"PROXY TCP4 here there 1 2\r\n", &V1[..20], b""] {
        let mut client = Client::connect(stead.port);
        client.send(first);
        client.expect_close();
    }
    let mut client = Client::connect(stead.port);
    client.send([V1, GET.as_bytes()].concat());
    assert_eq!(client.answer().status, 200, "others are served meanwhile");
}

#[test]
fn whoever_is_no_proxy_is_a_client_like_any_and_cannot_pretend() {
    let _turn = beside();
    let networks = "[\"192.0.2.0/24\", \"2001:db8::/32\"]";
    let stead = Stead::script(node("mirror.js")).set("proxy_protocol", networks).start();
    assert_eq!(seen(&get(stead.port, "/").json()), both("127.0.0.1"));
    for header in [V1, V2] {
        let mut client = Client::connect(stead.port);
        client.send([header, GET.as_bytes()].concat());
        assert_eq!(client.answer().status, 400);
    }
    let trusting = Stead::script(node("mirror.js")).set("proxy_protocol", "[\"127.0.0.0/8\"]").start();
    let mut client = Client::connect(trusting.port);
    client.send([V1, GET.as_bytes()].concat());
    assert_eq!(seen(&client.answer().json()), both("192.0.2.7"));
}

#[test]
fn header_comes_before_tls() {
    let _turn = beside();
    let plan = Stead::script(node("mirror.js")).set("proxy_protocol", "\"all\"").listen_https();
    let authority = Authority::new(plan.directory());
    authority.issue("shop", &["localhost"]);
    let stead = plan.set("tls", &authority.setting(&["shop"])).start();
    let output = Command::new("curl")
        .args(["-sk", "--haproxy-protocol"])
        .arg(format!("https://127.0.0.1:{}/", stead.port))
        .output()
        .expect("curl is installed");
    let answer = serde_json::from_slice(&output.stdout).expect("it is answered");
    assert_eq!(seen(&answer), both("127.0.0.1"));
}

/// HAProxy as people put it in front: it sends both versions.
struct HaProxy(Child);

impl HaProxy {
    fn start(user: &Background, (port, version): (u16, &str), stead: u16) -> HaProxy {
        let config = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n\
             listen front\n bind 127.0.0.1:{port}\n server stead 127.0.0.1:{stead} {version}\n"
        );
        let path = user.write(&format!("haproxy-{port}.cfg"), &config);
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(path).stdout(Stdio::null()).stderr(Stdio::null());
        let haproxy = HaProxy(command.spawn().expect("haproxy is installed"));
        soon("HAProxy listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        haproxy
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        // It has nothing that could be lost.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn haproxy_in_front_is_understood() {
    let _turn = beside();
    let user = Background::new();
    let stead = Stead::script(node("mirror.js")).set("proxy_protocol", "\"all\"").start();
    for version in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"] {
        let port = free_port();
        let _haproxy = HaProxy::start(&user, (port, version), stead.port);
        let mut client = Client::connect(port);
        client.send(GET);
        let answer = client.answer().json();
        assert_eq!(seen(&answer), both("127.0.0.1"), "{version}");
        assert_eq!(answer["remote"]["port"], client.local_port(), "{version}: the client's, not HAProxy's");
    }
}

/// Tells each client what it was told first.
const SERVER: &str = "import socketserver, sys\n\
    class Lines(socketserver.StreamRequestHandler):\n    \
        def handle(self):\n        \
            self.wfile.write(b'told ' + self.rfile.readline())\n\
    class Server(socketserver.ThreadingTCPServer):\n    \
        allow_reuse_address = True\n    \
        daemon_threads = True\n\
    Server(('127.0.0.1', int(sys.argv[1])), Lines).serve_forever()\n";

#[test]
fn worker_that_is_carried_connections_is_told_whose_they_are() {
    let _turn = beside();
    let (user, port) = (Background::new(), free_port());
    user.write("lines.py", SERVER);
    let config = format!(
        "[app.lines]\ncommand = \"python3 lines.py {{port}}\"\nlisten = [\"127.0.0.1:{port}\"]\nmode = \"direct\"\n\
         send_proxy = \"v1\"\nproxy_protocol = \"all\"\n"
    );
    user.write("stead.toml", &config);
    user.done(&["start"]);
    user.complete();
    let mut client = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    client.write_all(V2).expect("it is connected");
    let mut line = String::new();
    BufReader::new(&client).read_line(&mut line).expect("it is connected");
    assert_eq!(line.trim_end(), format!("told PROXY TCP4 192.0.2.7 127.0.0.1 5678 {port}"));
}
