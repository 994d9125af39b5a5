//! "My server speaks a protocol of its own. It has as many copies as I like behind one port, and a reload or a crash is
//! nothing that a new connection could notice."

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::background::Background;
use crate::support::ports::free_port;
use crate::support::processes::kill;
use crate::support::{beside, soon};

/// Answers each line with its process id and the line. `deadly` kills each worker that reads it, `tripwire` the first.
const SERVER: &str = "import os, socketserver, sys\n\
    def dies(line):\n    \
        if line == b'deadly\\n': return True\n    \
        if line != b'tripwire\\n': return False\n    \
        try: os.close(os.open('tripped', os.O_CREAT | os.O_EXCL)); return True\n    \
        except FileExistsError: return False\n\
    class Lines(socketserver.StreamRequestHandler):\n    \
        def handle(self):\n        \
            for line in self.rfile:\n            \
                if dies(line): os._exit(1)\n            \
                self.wfile.write(b'%d ' % os.getpid() + line)\n\
    class Server(socketserver.ThreadingTCPServer):\n    \
        allow_reuse_address = True\n    \
        daemon_threads = True\n\
    Server(('127.0.0.1', int(sys.argv[1])), Lines).serve_forever()\n";

struct Client(BufReader<TcpStream>);

impl Client {
    fn new(port: u16) -> Client {
        Client(BufReader::new(TcpStream::connect(("127.0.0.1", port)).expect("it listens")))
    }

    /// Which worker answers this line.
    fn ask(&mut self, line: &str) -> u32 {
        writeln!(self.0.get_mut(), "{line}").expect("it is connected");
        let mut answer = String::new();
        self.0.read_line(&mut answer).expect("it is connected");
        let (pid, rest) = answer.trim_end().split_once(' ').unwrap_or_else(|| panic!("{line}: {answer:?}"));
        assert_eq!(rest, line);
        pid.parse().expect("a number")
    }
}

fn user(port: u16) -> Background {
    let user = Background::new();
    user.write("lines.py", SERVER);
    let config = format!(
        "[app.lines]\ncommand = \"python3 lines.py {{port}}\"\ninstances = 2\nlisten = [\"127.0.0.1:{port}\"]\nmode = \"direct\"\n"
    );
    user.write("stead.toml", &config);
    user.done(&["start"]);
    user
}

#[test]
fn connections_are_shared_among_the_workers_and_outlive_a_reload() {
    let _turn = beside();
    let port = free_port();
    let user = user(port);
    let before = user.complete().ready_pids();
    let mut clients: Vec<Client> = (0..4).map(|_| Client::new(port)).collect();
    let served: Vec<u32> = clients.iter_mut().map(|client| client.ask("one")).collect();
    let workers: BTreeSet<u32> = served.iter().copied().collect();
    assert_eq!(workers, before.iter().copied().collect());
    let reload = user.begin(&["reload", "lines"]);
    soon("new connections get new workers", || !before.contains(&Client::new(port).ask("new")));
    let still: Vec<u32> = clients.iter_mut().map(|client| client.ask("two")).collect();
    assert_eq!(still, served, "those that are open stay where they are");
    drop(clients);
    assert_eq!(reload.finish(Duration::from_secs(30)).code, Some(0));
    soon("the old workers have left with their clients", || {
        user.complete().ready_pids().iter().all(|pid| !before.contains(pid))
    });
}

#[test]
fn a_killed_worker_is_nothing_that_a_new_connection_could_notice() {
    let _turn = beside();
    let port = free_port();
    let user = user(port);
    let before = user.complete().ready_pids();
    kill(before[0]);
    for round in 0..100 {
        assert_ne!(Client::new(port).ask(&round.to_string()), before[0]);
    }
    user.wait_status("the dead one is replaced", |now| now.is_complete() && now.ready_pids() != before);
}

#[test]
fn a_worker_that_dies_before_its_first_word_is_followed_by_another_on_the_same_connection() {
    let _turn = beside();
    let port = free_port();
    let user = user(port);
    let mut client = Client::new(port);
    let served_by = client.ask("tripwire");
    assert_eq!(client.ask("once more"), served_by);
    // What kills each worker that reads it is given up, and the client is told in the only way there is.
    let mut killer = Client::new(port);
    writeln!(killer.0.get_mut(), "deadly").expect("it is connected");
    let mut answer = String::new();
    killer.0.read_line(&mut answer).expect("it is closed in order");
    assert_eq!(answer, "");
    user.wait_status("the dead ones are replaced", |now| now.is_complete());
    Client::new(port).ask("as ever");
}
