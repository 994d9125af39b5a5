//! Clients that speak TLS: what they get, what workers are told about them, and what becomes of those who do it wrong.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};
use stead_balancer::{
    CertificateFiles, ClientAuthority, Config, PostedChallenge, Refreshed, Tenant, Tls, TlsFiles, TlsSet,
    Transport,
};

use crate::stand::{Peer, Stand, config, until};

const HEAD_END: &str = "\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

type Client = Peer<StreamOwned<ClientConnection, TcpStream>>;

/// A folder of certificates, and who vouches for them.
struct Office {
    folder: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Office {
    fn new() -> Office {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the tests' authority");
        let key = KeyPair::generate().expect("a key can be made");
        let authority = CertifiedIssuer::self_signed(params, key).expect("it can be signed");
        let office = Office { folder: tempfile::tempdir().expect("a temporary folder"), authority };
        office.write("authority.pem", &office.authority.pem());
        office
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("the folder can be written to");
    }

    /// Certificate and key for these names, in the files of this name.
    fn issue(&self, file: &str, names: &[&str]) -> CertificateFiles {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("they are names");
        params.distinguished_name.push(DnType::CommonName, file);
        params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.authority).expect("it can be signed");
        self.write(&format!("{file}.cert.pem"), &certificate.pem());
        self.write(&format!("{file}.key.pem"), &key.serialize_pem());
        CertificateFiles {
            certificate: self.folder.path().join(format!("{file}.cert.pem")),
            key: self.folder.path().join(format!("{file}.key.pem")),
            awaited: false,
        }
    }

    fn tls(&self, certificates: Vec<CertificateFiles>) -> Arc<Tls> {
        self.load(TlsFiles { certificates, client_authority: None })
    }

    fn load(&self, files: TlsFiles) -> Arc<Tls> {
        Arc::new(Tls::load(files).expect("they are good"))
    }

    /// A server for `localhost` that asks clients for certificates.
    fn mutual(&self, required: bool) -> Stand {
        let file = self.folder.path().join("authority.pem");
        let certificates = vec![self.issue("localhost", &["localhost"])];
        let files = TlsFiles { certificates, client_authority: Some(ClientAuthority { file, required }) };
        Stand::spoken_to(config(), Transport::Tls(TlsSet::new(vec![self.load(files)])))
    }

    /// What a client knows: the authority, and perhaps a certificate of its own.
    fn client_config(&self, own: Option<&CertificateFiles>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).expect("it is an authority");
        let builder = ClientConfig::builder().with_root_certificates(roots);
        match own {
            None => builder.with_no_client_auth(),
            Some(CertificateFiles { certificate, key, .. }) => {
                let chain = vec![CertificateDer::from_pem_file(certificate).expect("it was written")];
                let key = PrivateKeyDer::from_pem_file(key).expect("it was written");
                builder.with_client_auth_cert(chain, key).expect("they fit")
            }
        }
    }
}

/// A client that has not said anything yet.
fn client(stand: &Stand, config: impl Into<Arc<ClientConfig>>, name: &str) -> Client {
    let name = ServerName::try_from(name.to_owned()).expect("it is a name");
    let connection = ClientConnection::new(config.into(), name).expect("the configuration can be used");
    Peer::new(StreamOwned::new(connection, stand.client().stream))
}

/// One stand for `localhost`, and a client of it.
fn served(config: Config) -> (Office, Stand, Client) {
    let office = Office::new();
    let tls = office.tls(vec![office.issue("localhost", &["localhost"])]);
    let stand = Stand::spoken_to(config, Transport::Tls(TlsSet::new(vec![tls])));
    let client = client(&stand, office.client_config(None), "localhost");
    (office, stand, client)
}

fn handshake(client: &mut Client) -> std::io::Result<(usize, usize)> {
    client.stream.conn.complete_io(&mut client.stream.sock)
}

/// The client's first request is answered; what the worker was told.
#[track_caller]
fn exchange(stand: &Stand, client: &mut Client, request: &str) -> String {
    client.send(request);
    let (_, mut worker) = stand.given();
    let head = worker.read_until(HEAD_END);
    worker.send(OK);
    client.read_until("ok");
    head
}

#[test]
fn requests_are_answered_and_workers_told_that_it_was_https() {
    let (_office, stand, mut client) = served(config());
    let head = exchange(&stand, &mut client, GET);
    assert!(head.contains("\r\nX-Forwarded-Proto: https\r\n"), "{head}");
    assert!(head.contains(";proto=https\r\n"), "{head}");
    assert!(!head.contains("Client-Cert"), "{head}");
}

#[test]
fn certificate_is_chosen_by_the_name_asked_for() {
    let office = Office::new();
    let certificates = vec![
        office.issue("first", &["first.example"]),
        office.issue("wild", &["*.wild.example", "other.test"]),
        office.issue("exact", &["exact.example"]),
    ];
    let stand = Stand::spoken_to(config(), Transport::Tls(TlsSet::new(vec![office.tls(certificates)])));
    let shown = |name: &str| {
        let mut client = client(&stand, office.client_config(None), name);
        let done = client.stream.conn.complete_io(&mut client.stream.sock);
        let certificates = client.stream.conn.peer_certificates();
        done.ok().and(certificates).map(|chain| chain[0].as_ref().to_vec())
    };
    let file = |name: &str| {
        let path = office.folder.path().join(format!("{name}.cert.pem"));
        Some(CertificateDer::from_pem_file(path).expect("it was written").to_vec())
    };
    assert_eq!(shown("first.example"), file("first"));
    assert_eq!(shown("EXACT.example"), file("exact"));
    assert_eq!(shown("any.wild.example"), file("wild"));
    assert_eq!(shown("other.test"), file("wild"));
    // A star stands for one label; the first certificate, which does not fit, tells the client so.
    assert_eq!(shown("a.b.wild.example"), None);
}

#[test]
fn clients_agree_on_a_version_of_http_or_are_told_that_there_is_nothing_else() {
    let (http1, http2): (&[u8], &[u8]) = (b"http/1.1", b"h2");
    for (streams_max, offered, expected) in [
        (100, &[http1, http2][..], Some(http2)),
        (100, &[http1], Some(http1)),
        (100, &[b"spdy/3"], None),
        (0, &[http2, http1], Some(http1)),
        (0, &[http2], None),
    ] {
        let (office, stand, _) = served(Config { http2_streams_max: streams_max, ..config() });
        let mut config = office.client_config(None);
        config.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
        let mut client = client(&stand, config, "localhost");
        let done = client.stream.conn.complete_io(&mut client.stream.sock);
        assert_eq!(done.ok().and(client.stream.conn.alpn_protocol()), expected);
    }
}

#[test]
fn client_without_a_required_certificate_is_refused_with_the_reason() {
    let office = Office::new();
    let stand = office.mutual(true);
    let mut client = client(&stand, office.client_config(None), "localhost");
    // Under TLS 1.3 a client is through before the server has judged it.
    let written = client.stream.write_all(GET.as_bytes());
    let error = written.and_then(|()| client.stream.read(&mut [0; 1])).expect_err("it is refused");
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
}

#[test]
fn worker_is_told_whose_certificate_the_client_has_shown_and_nobody_can_pretend() {
    let office = Office::new();
    let stand = office.mutual(false);
    let forged = "GET / HTTP/1.1\r\nHost: a\r\nClient-Cert: :AA==:\r\nX_Client_Cert_Subject: CN=root\r\n\
                  X-Client-Cert-Subject: CN=root\r\n\r\n";
    let alice = office.issue("alice", &["alice.example"]);
    let mut client_with = client(&stand, office.client_config(Some(&alice)), "localhost");
    let head = exchange(&stand, &mut client_with, forged);
    assert!(head.contains("\r\nX-Client-Cert-Subject: O=Example\\, Inc.,CN=alice\r\n"), "{head}");
    assert!(head.contains("\r\nClient-Cert: :MII"), "{head}");
    assert!(!head.contains("root") && !head.contains("AA=="), "{head}");

    let mut client_without = client(&stand, office.client_config(None), "localhost");
    let head = exchange(&stand, &mut client_without, forged);
    assert!(!head.to_ascii_lowercase().contains("cert"), "{head}");
}

#[test]
fn plain_http_on_a_tls_port_is_told_so() {
    let (_office, stand, _) = served(config());
    let mut plain = stand.client();
    plain.send(GET);
    let answer = String::from_utf8(plain.read_to_end()).expect("it is plain");
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with("this port speaks HTTPS: use https:// instead of http://\n"), "{answer}");
}

#[test]
fn handshake_that_does_not_go_on_is_ended() {
    let (_office, stand, _) = served(Config { header_timeout: Duration::from_millis(200), ..config() });
    let mut slow = stand.client();
    // The beginning of a record that says it is 512 bytes long.
    slow.send([0x16, 3, 1, 2, 0, 1]);
    let start = Instant::now();
    assert_eq!(slow.read_to_end(), b"");
    assert!(start.elapsed() < Duration::from_secs(5));
    until("it is gone", || stand.pool.snapshot().connections == 0);
}

#[test]
fn large_bodies_pass_both_ways_past_a_client_that_reads_late() {
    let (_office, stand, mut client) = served(config());
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let answered = body.clone();
    let (head, upload) =
        (format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()), &body);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let (_, mut worker) = stand.given();
            worker.read_until(HEAD_END);
            let got = worker.read_exactly(upload.len());
            worker.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answered.len()));
            // All of it can only be written once the client reads.
            worker.send(&answered);
            got
        });
        client.send(&head).send(upload);
        client.read_until(HEAD_END);
        let back = client.read_exactly(body.len());
        assert!(back == body, "what comes back is what was sent");
        assert!(worker.join().expect("it does not panic") == body);
    });
    exchange_kept(&stand, &mut client);
}

/// Another request on the same connection, served by the worker's kept one or a new one.
#[track_caller]
fn exchange_kept(stand: &Stand, client: &mut Client) {
    exchange(stand, client, GET);
}

#[test]
fn answer_that_ends_with_the_connection_ends_with_a_word() {
    let (_office, stand, mut client) = served(config());
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    worker.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it");
    drop(worker);
    // An end without the word would be an error here.
    let answer = String::from_utf8(client.read_to_end()).expect("it is text");
    assert!(answer.ends_with("\r\n\r\nall of it"), "{answer}");
}

#[test]
fn half_an_answer_does_not_end_with_the_word_that_it_was_all() {
    let (_office, stand, mut client) = served(config());
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    worker.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    client.read_until("hello");
    drop(worker);
    stand.die(1);
    let error = client.stream.read(&mut [0; 1]).expect_err("it is cut off");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn websocket_passes_through() {
    let (_office, stand, mut client) = served(config());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    worker.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    client.read_until(HEAD_END);
    for size in [1, 100, 70_000, 1_000_000] {
        let (up, down) = (vec![b'u'; size], vec![b'd'; size]);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| worker.read_exactly(size));
            client.send(&up);
            assert!(reader.join().expect("it does not panic") == up);
        });
        std::thread::scope(|scope| {
            scope.spawn(|| worker.send(&down));
            assert!(client.read_exactly(size) == down);
        });
    }
    client.stream.conn.send_close_notify();
    client.stream.flush().expect("the other side reads");
    assert_eq!(worker.read_to_end(), b"", "the client's end is passed on");
    worker.send("last words");
    drop(worker);
    assert_eq!(client.read_to_end(), b"last words");
}

#[test]
fn session_is_resumed_on_another_connection() {
    let (office, stand, _) = served(config());
    let config = Arc::new(office.client_config(None));
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut client = client(&stand, Arc::clone(&config), "localhost");
        exchange(&stand, &mut client, GET);
        kinds.push(client.stream.conn.handshake_kind());
    }
    assert_eq!(kinds[1], Some(HandshakeKind::Resumed), "{kinds:?}");
    assert_ne!(kinds[0], Some(HandshakeKind::Resumed));
}

#[test]
fn client_of_retired_lanes_is_served_once_more_and_asked_to_come_again() {
    let (_office, stand, mut client) = served(config());
    exchange(&stand, &mut client, GET);
    let mut moves = stand.retire();
    client.send(GET);
    let (_, mut worker) = stand.given();
    worker.read_until(HEAD_END);
    worker.send(OK);
    let head = client.read_until(HEAD_END);
    assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
    assert_eq!(client.read_to_end(), b"ok");
    stand.idle();
    assert!(moves.try_recv().is_err(), "its keys cannot be handed over");
}

#[test]
fn requests_are_sent_to_https_with_everything_they_say() {
    let stand = Stand::new(config(), 1);
    stand.site.arrange(&[Tenant { https: Some(8443), ..Tenant::alone(Arc::clone(&stand.pool)) }]);
    let mut client = stand.client();
    for (host, target, location) in [
        ("shop.example", "/a?b=c", "https://shop.example:8443/a?b=c"),
        ("shop.example:8080", "/", "https://shop.example:8443/"),
        ("[::1]:80", "/x", "https://[::1]:8443/x"),
        ("[::1]", "http://other.example/y", "https://other.example:8443/y"),
    ] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let head = client.read_until("308 Permanent Redirect: use https\n");
        assert!(head.starts_with("HTTP/1.1 308 "), "{head}");
        assert!(head.contains(&format!("\r\nLocation: {location}\r\n")), "{head}");
    }
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert!(String::from_utf8_lossy(&client.read_to_end()).starts_with("HTTP/1.1 400 "));
}

#[test]
fn changed_files_are_for_clients_that_come_from_then_on() {
    let office = Office::new();
    let tls = office.tls(vec![office.issue("localhost", &["localhost"])]);
    let stand = Stand::spoken_to(config(), Transport::Tls(TlsSet::new(vec![Arc::clone(&tls)])));
    let certificate_of = |client: &mut Client| {
        exchange(&stand, client, GET);
        client.stream.conn.peer_certificates().expect("it has shown one")[0].clone()
    };
    let mut before = client(&stand, office.client_config(None), "localhost");
    let first = certificate_of(&mut before);
    assert!(matches!(tls.refresh(), Refreshed::Unchanged));

    let path = office.folder.path().join("localhost.key.pem");
    let good_key = std::fs::read(&path).expect("it was written");
    std::fs::write(&path, "nothing").expect("it can be written");
    assert!(matches!(tls.refresh(), Refreshed::Unchanged), "it may be half of a change");
    assert!(matches!(tls.refresh(), Refreshed::Failed(_)));
    assert!(matches!(tls.refresh(), Refreshed::Unchanged), "it is told once");
    let mut meanwhile = client(&stand, office.client_config(None), "localhost");
    assert_eq!(certificate_of(&mut meanwhile), first, "what was loaded goes on");
    std::fs::write(&path, good_key).expect("it can be written");

    office.issue("localhost", &["localhost"]);
    until("they are loaded", || matches!(tls.refresh(), Refreshed::Loaded));
    let mut after = client(&stand, office.client_config(None), "localhost");
    assert_ne!(certificate_of(&mut after), first);
    assert_eq!(certificate_of(&mut before), first, "its connection goes on");
}

#[test]
fn clients_wait_until_there_is_a_certificate() {
    let office = Office::new();
    let files = |name: &str| office.folder.path().join(Path::new(name));
    let certificate =
        CertificateFiles { certificate: files("late.cert.pem"), key: files("late.key.pem"), awaited: false };
    let tls = Arc::new(Tls::new(TlsFiles { certificates: vec![certificate], client_authority: None }));
    assert!(matches!(tls.refresh(), Refreshed::Failed(_)));
    let stand = Stand::spoken_to(config(), Transport::Tls(TlsSet::new(vec![Arc::clone(&tls)])));
    let mut client = client(&stand, office.client_config(None), "late.example");
    office.issue("late", &["late.example"]);
    until("they are loaded", || matches!(tls.refresh(), Refreshed::Loaded));
    exchange(&stand, &mut client, GET);
}

#[test]
fn awaited_certificates_are_done_without_and_challenges_are_met_meanwhile() {
    let office = Office::new();
    let there = office.issue("there", &["there.example"]);
    let path = office.folder.path().join("awaited.pem");
    let awaited = CertificateFiles { certificate: path.clone(), key: path.clone(), awaited: true };
    let files = TlsFiles { certificates: vec![awaited, there], client_authority: None };
    let tls = Arc::new(Tls::load(files).expect("the other one is good"));
    let stand = Stand::spoken_to(config(), Transport::Tls(TlsSet::new(vec![Arc::clone(&tls)])));
    exchange(&stand, &mut client(&stand, office.client_config(None), "there.example"), GET);
    // Nobody has posted an answer.
    let mut asks = office.client_config(None);
    asks.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let mut refused = client(&stand, asks.clone(), "awaited.example");
    assert!(handshake(&mut refused).is_err());
    let answer = office.issue("answer", &["awaited.example"]);
    let der = |path: &PathBuf| CertificateDer::from_pem_file(path).expect("it was written").to_vec();
    let key = PrivateKeyDer::from_pem_file(&answer.key).expect("it was written").secret_der().to_vec();
    let posted = PostedChallenge::tls("awaited.example", der(&answer.certificate), key).expect("a key");
    let mut asking = client(&stand, asks.clone(), "awaited.example");
    handshake(&mut asking).expect("it is answered");
    let shown = asking.stream.conn.peer_certificates().expect("one is shown");
    assert_eq!(shown[0].to_vec(), der(&answer.certificate));
    drop(posted);
    assert!(handshake(&mut client(&stand, asks, "awaited.example")).is_err());
    // It has come.
    let [certificate, key] =
        [&answer.certificate, &answer.key].map(|path| std::fs::read(path).expect("it is there"));
    std::fs::write(&path, [key, certificate].concat()).expect("there is room");
    until("it is loaded", || matches!(tls.refresh(), Refreshed::Loaded));
    let mut late = client(&stand, office.client_config(None), "awaited.example");
    handshake(&mut late).expect("it is good");
    // The one that was shown the answer is let go, and holds nobody up.
    let mut rest = Vec::new();
    assert_eq!(asking.stream.read_to_end(&mut rest).map(|count| (count, rest)).ok(), Some((0, Vec::new())));
}
