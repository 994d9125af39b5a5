//! "My program speaks UDP. Its workers share the socket, and whatever is replaced, a datagram waits for whoever is there next."

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::background::Background;
use crate::support::ports::{free_port, is_free};
use crate::support::processes::kill;
use crate::support::{Stead, alone, beside, fixture, get, node, soon};

/// Longest wait for an answer: a worker has to be started meanwhile.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

fn user(lines: &str) -> Background {
    let user = Background::new();
    let server = fixture("python/datagrams.py");
    let table = format!(
        "[app.dns]\ncommand = \"python3 {server}\"\ninstances = 2\nready = \"notify\"\nassume_ready_after = \"30s\"\n{lines}\n"
    );
    user.write("stead.toml", &table);
    user
}

fn client(port: u16) -> UdpSocket {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("there is a port");
    socket.connect(("127.0.0.1", port)).expect("it is an address");
    socket.set_read_timeout(Some(ANSWER_LIMIT)).expect("a timeout can be set");
    socket
}

/// Sends one datagram; which worker answered.
fn ask(socket: &UdpSocket, text: &str) -> u32 {
    // What the kernel says of an earlier one is not about this one.
    while socket.send(text.as_bytes()).is_err() {}
    let mut answer = [0; 100];
    let count = socket.recv(&mut answer).expect("it is answered");
    let answer = String::from_utf8_lossy(&answer[..count]);
    let (pid, echo) = answer.split_once(' ').expect("a process and what was sent");
    assert_eq!(echo, text, "no answer is lost, and none comes twice");
    pid.parse().expect("a process")
}

/// Clients that ask again and again, each time for something else.
struct Asking {
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Asking {
    fn start(port: u16) -> Asking {
        let (answered, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let client = || {
            let (answered, stop, socket) = (Arc::clone(&answered), Arc::clone(&stop), client(port));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let number = answered.load(Ordering::Relaxed);
                    ask(&socket, &format!("question {number}"));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let clients = (0..4).map(|_| client()).collect();
        Asking { answered, stop, clients }
    }

    /// Questions are answered at this moment.
    #[track_caller]
    fn goes_on(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        soon("questions are answered", || self.answered.load(Ordering::Relaxed) > before + 20);
    }

    #[track_caller]
    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().expect("all is answered"));
    }
}

#[test]
fn no_datagram_is_lost_while_workers_and_the_daemon_are_replaced() {
    let _turn = alone();
    let port = free_port();
    let user = user(&format!("listen = [\"udp://127.0.0.1:{port}\"]\nmode = \"shared\""));
    user.done(&["start"]);
    let before = user.complete();
    let asking = Asking::start(port);
    asking.goes_on();
    user.done(&["reload", "dns"]);
    asking.goes_on();
    kill(before.daemon_pid());
    asking.goes_on();
    let after = user.complete();
    assert_ne!(before.workers(), after.workers(), "it was reloaded");
    user.done(&["reload", "dns"]);
    asking.goes_on();
    asking.stop();

    // Nobody is there at all.
    let last = user.complete().ready_pids();
    kill(last[0]);
    kill(last[1]);
    assert!(!last.contains(&ask(&client(port), "anybody?")), "it has waited in the socket");
    user.done(&["stop", "dns"]);
    soon("its address is free", || is_free(port));
}

#[test]
fn a_program_has_requests_balanced_and_datagrams_of_its_own() {
    let _turn = beside();
    let (tcp, udp) = (free_port(), free_port());
    let user = user(&format!("listen = [\"127.0.0.1:{tcp}\", \"udp://127.0.0.1:{udp}\"]"));
    user.done(&["start"]);
    user.complete();
    assert_eq!(get(tcp, "/").text(), "ok\n");
    ask(&client(udp), "both");
    let shown = user.done(&["show", "dns"]).stdout;
    assert!(shown.contains(&format!("udp://127.0.0.1:{udp} (shared)")), "{shown}");
    let changed = std::fs::read_to_string(user.path().join("stead.toml")).expect("it was written");
    user.write("stead.toml", &changed.replace(&udp.to_string(), &free_port().to_string()));
    user.done(&["reload", "dns"]);
    ask(&client(udp), "addresses change with the next start");
}

#[test]
fn workers_of_a_node_program_get_the_same_socket_from_every_daemon() {
    let _turn = beside();
    let stead = Stead::script(node("udp-echo.js")).instances(2).start();
    let asked = client(stead.port);
    let before = ask(&asked, "before");
    kill(stead.status().daemon_pid());
    stead.wait_complete();
    assert_eq!(stead.verb(&["reload"]).code, Some(0));
    let now = stead.wait_complete().ready_pids();
    assert!(!now.contains(&before), "it was reloaded");
    assert!(now.contains(&ask(&asked, "after")));
}

#[test]
fn what_cannot_be_is_refused_with_what_to_do() {
    let _turn = beside();
    let user = Background::new();
    let refused = |text: &str, expected: &str| {
        user.write("stead.toml", text);
        let finished = user.verb(&["start"]);
        assert!(finished.code == Some(2) && finished.stderr.contains(expected), "{finished:?}");
    };
    let app =
        |name: &str, command: &str, lines: &str| format!("[app.{name}]\ncommand = \"{command}\"\n{lines}\n");
    let udp = "listen = [\"udp://127.0.0.1:5353\"]";
    refused(
        &(app("a", "python3 a.py", udp) + &app("b", "python3 b.py", udp)),
        "app `b`: app `a` listens on `udp://127.0.0.1:5353` already",
    );
    refused(&app("a", &format!("node {}", node("udp-echo.js")), udp), "a Node.js program needs no");
    refused(&app("a", "python3 a.py", &format!("{udp}\nroutes = [\"/a\"]")), "`routes` is about requests");
    refused(&app("a", "python3 a.py", "listen = [\"udp://unix:/a\"]"), "is no UDP address");

    let taken = UdpSocket::bind(("127.0.0.1", 0)).expect("there is a port");
    let address = format!("udp://{}", taken.local_addr().expect("bound"));
    user.write("stead.toml", &app("a", "python3 -m http.server", &format!("listen = [\"{address}\"]")));
    let finished = user.verb(&["start"]);
    assert!(finished.stderr.contains(&format!("failed to listen on {address}")), "{finished:?}");
    assert!(finished.stderr.contains("another program listens there"), "{finished:?}");
}
