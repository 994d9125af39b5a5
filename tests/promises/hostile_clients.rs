//! "However many clients are slow, silent or full of tricks: my server needs a bounded amount of memory for them, and
//! everybody else is served as if they were not there."
//!
//! Memory is the daemon's resident set and the highest that the kernel has seen of it (`VmHWM`). Bounds are generous: they
//! tell a leak or an unbounded buffer from none, and SECURITY.md has the figures.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::load::{assert_nothing_failed, gets};
use crate::support::stead::Plan;
use crate::support::{Client, Load, Stead, alone, eventually, node};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// What the daemon may need besides: the load of the others, allocator, timers.
const BESIDES: u64 = 12 * MIB;

/// A server under attack, and honest clients of it.
struct Attacked {
    stead: Stead,
    honest: Load,
    daemon: u32,
    before: u64,
}

impl Attacked {
    fn start(plan: Plan) -> Attacked {
        let stead = plan.start();
        let honest = Load::start([("honest", gets(stead.port, "/bytes?n=10", 4))]);
        honest.each_answers(500);
        let daemon = stead.status().daemon_pid();
        Attacked { before: memory(daemon, "VmRSS"), daemon, stead, honest }
    }

    fn attackers(&self, count: usize) -> Vec<Client> {
        (0..count).map(|_| Client::connect(self.stead.port)).collect()
    }

    /// The honest ones are served meanwhile.
    #[track_caller]
    fn serves_others(&self) {
        let start = Instant::now();
        self.honest.each_answers(200);
        assert!(start.elapsed() < Duration::from_secs(10), "200 answers took {:?}", start.elapsed());
    }

    /// Nobody else noticed, the same daemon runs, and it never needed more than this in addition.
    #[track_caller]
    fn survived(self, most: u64) {
        self.serves_others();
        assert_eq!(self.stead.status().daemon_pid(), self.daemon, "the daemon died");
        assert_nothing_failed(&self.honest.stop());
        let needed = memory(self.daemon, "VmHWM").saturating_sub(self.before);
        assert!(needed <= most + BESIDES, "{} KiB more than before", needed / KIB);
    }
}

/// A line of `/proc/PID/status`, in bytes.
fn memory(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon lives");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells it");
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().expect("a number of KiB") * KIB
}

/// Tells each of them something more; how many are not closed.
fn still_heard(clients: &mut [Client], more: &[u8]) -> usize {
    clients.iter_mut().filter_map(|client| client.try_send(more).ok()).count()
}

fn plan() -> Plan {
    Stead::script(node("bodies.js"))
}

#[test]
fn heads_that_never_end_cost_little_and_are_let_go() {
    let _turn = alone();
    let attacked = Attacked::start(plan().set("header_timeout", "3s"));
    let mut slow = attacked.attackers(1000);
    let deadline = Instant::now() + Duration::from_secs(60);
    slow.iter_mut().for_each(|client| drop(client.try_send(b"GET / HTTP/1.1\r\nHost: t\r\n")));
    // Each byte shows that they live; it does not help them.
    while still_heard(&mut slow, b"X") > 0 {
        attacked.serves_others();
        assert!(Instant::now() < deadline, "they are still there");
    }
    attacked.survived(1000 * 2 * KIB);
}

#[test]
fn bodies_that_never_end_cost_no_worker_its_others() {
    let _turn = alone();
    let attacked = Attacked::start(plan().set("body_timeout", "3s"));
    let mut slow = attacked.attackers(500);
    for (at, client) in slow.iter_mut().enumerate() {
        let framing =
            ["Content-Length: 1000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nfffff\r\n"][at % 2];
        client.send(format!("POST / HTTP/1.1\r\nHost: t\r\n{framing}some"));
    }
    for _ in 0..3 {
        attacked.serves_others();
        slow.iter_mut().for_each(|client| drop(client.try_send(b"x")));
    }
    // The program has begun to answer each of them; once they say no more, they are let go all the same.
    for client in &mut slow {
        client.read_to_end().expect("it is closed");
    }
    attacked.survived(500 * 24 * KIB);
}

#[test]
fn answers_that_nobody_reads_are_not_gathered() {
    let _turn = alone();
    let attacked = Attacked::start(plan().set("body_timeout", "5s"));
    let mut deaf = attacked.attackers(200);
    for client in &mut deaf {
        client.send("GET /bytes?n=50000000 HTTP/1.1\r\nHost: t\r\n\r\n");
    }
    attacked.serves_others();
    // 10 GB were asked for. What they left unread ends with them.
    eventually("they are let go", Duration::from_secs(60), || {
        attacked.serves_others();
        // To one that is open it is an empty line before the next request.
        (still_heard(&mut deaf, b"\r\n") == 0).then_some(())
    });
    attacked.survived(200 * 128 * KIB);
}

#[test]
fn heads_as_large_as_allowed_cost_no_more_than_allowed() {
    let _turn = alone();
    let attacked = Attacked::start(plan().set("header_timeout", "5s"));
    let mut bombs = attacked.attackers(400);
    let almost = format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}", "x".repeat(32 * 1024 - 100));
    for client in &mut bombs {
        let _ = client.try_send(almost.as_bytes());
    }
    attacked.serves_others();
    for client in &mut bombs {
        assert_eq!(client.answer().status, 408);
    }
    // More than allowed is refused at once, before its end.
    let mut many = attacked.attackers(100);
    for client in &mut many {
        let _ =
            client.try_send(format!("GET / HTTP/1.1\r\nHost: t\r\n{}", "a: b\r\n".repeat(6000)).as_bytes());
        assert_eq!(client.answer().status, 431);
    }
    attacked.survived(400 * 64 * KIB);
}

#[test]
fn compressed_bodies_are_never_unpacked() {
    let _turn = alone();
    let attacked = Attacked::start(Stead::script(node("bodies.js")));
    let bomb = bomb();
    let mut clients = attacked.attackers(20);
    for client in &mut clients {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: t\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            bomb.len()
        );
        client.send(head).send(&bomb);
    }
    for client in &mut clients {
        assert_eq!(client.answer().body, bomb, "the program gets it as it came, and so does the client");
    }
    attacked.survived(20 * 4 * bomb.len() as u64);
}

/// 100 MB of nothing, in some 100 kB.
fn bomb() -> Vec<u8> {
    let packed = Command::new("sh").args(["-c", "head -c 100000000 /dev/zero | gzip -9"]).output();
    let packed = packed.expect("gzip is part of every Debian").stdout;
    assert!(!packed.is_empty() && packed.len() < 200_000, "{}", packed.len());
    packed
}

#[test]
fn thousands_of_idle_clients_cost_a_few_kib_each() {
    let _turn = alone();
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files })
        .expect("up to the maximum all may");
    let count = 5_000;
    let attacked = Attacked::start(plan());
    let mut idle = attacked.attackers(count);
    for client in &mut idle {
        assert_eq!(client.send("GET /bytes?n=10 HTTP/1.1\r\nHost: t\r\n\r\n").answer().status, 200);
    }
    attacked.serves_others();
    let each = memory(attacked.daemon, "VmRSS").saturating_sub(attacked.before) / count as u64;
    assert!(each < 6 * KIB, "{each} bytes for an idle connection");
    attacked.survived(count as u64 * 6 * KIB);
}
