//! "My Node.js program does unusual things when it starts. It still runs unmodified, as many times as I like."
//!
//! Ports of every kind, the message channel, package scripts, what the program finds in its surroundings.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use crate::support::fixtures::{folder, node_versions, path_with};
use crate::support::load::{assert_nothing_failed, gets, without_keep_alive};
use crate::support::ports::free_port;
use crate::support::{Client, Load, Stead, alone, beside, get, node, soon};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn several_ports_of_one_program() {
    let _turn = beside();
    let (admin, raw) = (free_port(), free_port());
    let plan = Stead::script(node("several-ports.js")).instances(2);
    let stead = plan.env("PORT_ADMIN", admin).env("PORT_RAW", raw).start();
    for _ in 0..4 {
        assert_eq!(get(stead.port, "/").text(), "public\n");
        assert_eq!(get(admin, "/").text(), "admin\n");
        let bytes = Client::connect(raw).read_to_end().expect("bytes and the end");
        assert_eq!(bytes, b"raw\n");
    }
    assert_eq!(stead.status().listens().len(), 3);
    stead.reload();
    assert_eq!(
        (get(stead.port, "/").text(), get(admin, "/").text()),
        ("public\n".to_owned(), "admin\n".to_owned())
    );
}

#[test]
fn a_port_chosen_by_the_system_is_the_same_in_all_workers() {
    let _turn = beside();
    let stead = Stead::script(node("port-zero.js")).instances(3).start();
    let listens = stead.status().listens();
    assert_eq!(listens.len(), 1, "{listens:?}");
    let port: u16 =
        listens[0].rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address has a port");
    for _ in 0..9 {
        assert_eq!(get(port, "/").text(), format!("{port}\n"), "the program knows its port");
    }
    stead.reload();
    assert_eq!(get(port, "/").text(), format!("{port}\n"), "the port stays through a reload");
}

#[test]
fn a_unix_path_instead_of_a_port() {
    let _turn = beside();
    let plan = Stead::script(node("unix-path.js")).instances(2);
    let path = plan.directory().join("public.sock");
    let mut stead = plan.env("SOCKET_PATH", path.display()).start();
    for _ in 0..4 {
        let mut client = Client::connect_unix(&path);
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").answer().text(), "hello over a path\n");
    }
    let mut config = gets(0, "/", 4);
    config.target = stead_load::Target::Unix(path.clone());
    let load = Load::start([("kept", config.clone()), ("new", without_keep_alive(config))]);
    load.each_answers(20);
    stead.reload();
    load.each_answers(20);
    assert_nothing_failed(&load.stop());
    stead.signal(rustix::process::Signal::TERM);
    stead.wait_exit(LIMIT);
    stead.assert_nothing_left();
    assert!(!path.exists(), "the socket file of the program is gone too");
}

#[test]
fn a_port_wanted_exclusively_is_shared_all_the_same() {
    let _turn = beside();
    for script in ["exclusive.js", "reuse-port.js"] {
        for version in node_versions() {
            let stead =
                Stead::script(node(script)).instances(2).env("PATH", path_with(&version.directory)).start();
            let load = Load::start([
                ("kept", gets(stead.port, "/", 6)),
                ("new", without_keep_alive(gets(stead.port, "/", 6))),
            ]);
            load.each_answers(20);
            stead.reload();
            load.each_answers(20);
            assert_nothing_failed(&load.stop());
            let pids: HashSet<String> = (0..20).map(|_| get(stead.port, "/").text()).collect();
            assert_eq!(pids.len(), 2, "{script} on Node.js {}: {pids:?}", version.major);
        }
    }
}

#[test]
fn a_program_that_listens_in_a_thread_serves_past_stead_and_the_user_is_told() {
    let _turn = beside();
    let stead = Stead::plan([node("worker-thread.js")]).instances(1).launch();
    let address = format!(":{}", stead.port);
    let told = |line: &str| (line.contains(&address) && line.contains("by itself")).then_some(());
    stead.output.wait_for("the program listens by itself", Duration::from_secs(40), told);
    assert!(get(stead.port, "/").text().starts_with("thread "));
}

#[test]
fn addresses_are_true_on_every_node() {
    let _turn = beside();
    for version in node_versions() {
        let stead =
            Stead::script(node("mirror.js")).instances(2).env("PATH", path_with(&version.directory)).start();
        for _ in 0..4 {
            let mut client = Client::connect(stead.port);
            let own = client.local_port();
            for _ in 0..3 {
                let seen = client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").answer().json();
                let address = seen["remote"]["address"].as_str().unwrap_or_default().to_owned();
                assert!(
                    matches!(address.as_str(), "127.0.0.1" | "::ffff:127.0.0.1"),
                    "{}: {seen}",
                    version.major
                );
                assert_eq!(seen["remote"]["port"], Value::from(own), "{}: {seen}", version.major);
                assert_eq!(seen["server"]["port"], Value::from(stead.port), "{}: {seen}", version.major);
                assert_eq!(seen["worker"]["isWorker"], Value::Bool(true));
            }
        }
    }
}

#[test]
fn addresses_can_be_left_to_the_forwarded_headers() {
    let _turn = beside();
    let stead = Stead::script(node("mirror.js")).set("remote_address", "false").start();
    let seen = get(stead.port, "/").json();
    assert_eq!(seen["remote"]["address"], Value::Null, "{seen}");
    assert!(seen["headers"].to_string().to_lowercase().contains("x-forwarded-for"), "{seen}");
}

#[test]
fn workers_find_what_they_need_in_their_environment() {
    let _turn = beside();
    let stead = Stead::script(node("mirror.js"))
        .instances(3)
        .option("--name", "shop")
        .option("--env", "COLOUR=green blue")
        .start();
    let values = |name: &str| -> HashSet<String> {
        (0..60).map(|_| get(stead.port, &format!("/environment?name={name}")).text()).collect()
    };
    let set =
        |values: &[&str]| -> HashSet<String> { values.iter().map(|value| format!("\"{value}\"")).collect() };
    assert_eq!(values("STEAD_APP"), set(&["shop"]));
    assert_eq!(values("STEAD_INSTANCE"), set(&["0", "1", "2"]));
    assert_eq!(values("STEAD_INSTANCES"), set(&["3"]));
    assert_eq!(values("NODE_APP_INSTANCE"), set(&["0", "1", "2"]));
    assert_eq!(values("COLOUR"), set(&["green blue"]));
    for hidden in ["NODE_CHANNEL_FD", "NODE_UNIQUE_ID", "STEAD_KEEPER_FD", "STEAD_KEEPER_PROTOCOL"] {
        assert_eq!(values(hidden), HashSet::from(["null".to_owned()]), "{hidden}");
    }
    let options = get(stead.port, "/environment?name=NODE_OPTIONS").json();
    assert!(
        options.as_str().unwrap_or_default().trim().is_empty(),
        "grandchildren get nothing of ours: {options}"
    );
}

#[test]
fn a_program_that_is_ready_when_it_says_so_gets_nothing_before() {
    let _turn = beside();
    let stead = Stead::script(node("ready-message.js"))
        .instances(2)
        .set("ready", "message")
        .env("READY_MS", 400)
        .start();
    let expect = |mut config: stead_load::Config| {
        config.expect = stead_load::Expect::Contains("ready\n".to_owned());
        config
    };
    let load = Load::start([
        ("kept", expect(gets(stead.port, "/", 10))),
        ("new", expect(without_keep_alive(gets(stead.port, "/", 10)))),
    ]);
    for _ in 0..2 {
        load.each_answers(20);
        stead.reload();
    }
    crate::support::processes::kill(stead.status().ready_pids()[0]);
    load.each_answers(200);
    stead.wait_complete();
    assert_nothing_failed(&load.stop());
}

#[test]
fn a_message_to_an_app_reaches_all_its_workers() {
    let _turn = beside();
    let stead = Stead::script(node("messages.js")).instances(2).option("--name", "chat").start();
    let socket = stead.sockets().pop().expect("there is a control socket");
    let body = r#"{"hello":["world",1]}"#;
    let mut control = Client::connect_unix(&socket);
    control.send(format!(
        "POST /v1/apps/chat/messages HTTP/1.1\r\nHost: stead\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let answer = control.answer();
    assert!((200..300).contains(&answer.status), "{answer:?}");
    // Both workers answer with what they got; one request each is certain after a few.
    for _ in 0..10 {
        soon("the message has arrived", || get(stead.port, "/").text() == format!("[{body}]"));
    }
}

#[test]
fn package_scripts_run_as_if_npm_had_started_them() {
    let _turn = beside();
    let directory = folder().join("npm-start").display().to_string();
    for program in [&["npm", "start"][..], &["npm", "run", "wrapped"], &["."]] {
        let plan = Stead::plan(program.iter().copied()).instances(2).option("--cwd", &directory);
        // npm itself takes its time on a loaded machine.
        let stead = plan.set("assume_ready_after", "30s").start();
        let load = Load::start([("kept", gets(stead.port, "/", 4))]);
        load.each_answers(20);
        assert_eq!(get(stead.port, "/").text(), "hello from start\n", "{program:?}");
        stead.reload();
        load.each_answers(20);
        assert_nothing_failed(&load.stop());
        stead.end();
    }
}

#[test]
fn a_program_with_a_cluster_of_its_own_takes_its_worker_branch() {
    let _turn = beside();
    let stead = Stead::script(node("own-cluster.js")).instances(2).start();
    let ids: HashSet<String> = (0..30).map(|_| get(stead.port, "/").text()).collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
}

#[test]
fn a_talkative_program_is_never_held_up_by_its_output() {
    let _turn = beside();
    let stead = Stead::script(node("chatty.js")).instances(2).env("LINES", 100_000).start();
    assert_eq!(get(stead.port, "/").text(), "chatty\n");
    stead.end();
    // Not even when nobody reads what Stead prints.
    let stead = Stead::script(node("chatty.js")).instances(2).env("LINES", 100_000).unread().start();
    assert_eq!(get(stead.port, "/").text(), "chatty\n");
}

#[test]
fn what_workers_print_is_printed_with_their_name() {
    let _turn = beside();
    let stead = Stead::script(node("port-zero.js")).instances(2).option("--name", "shop").plain().start();
    stead.output.wait_for("the worker's line has its name in front", LIMIT, |line| {
        (line.contains("shop") && line.contains("port ")).then_some(())
    });
    let lines = stead.output.lines().into_iter().chain(stead.stderr.lines()).collect::<Vec<_>>().join("\n");
    assert!(!lines.contains('\u{1b}'), "no colours when it is not a terminal:\n{lines}");
}

#[test]
fn json_output_is_json_on_every_line() {
    let _turn = beside();
    let stead = Stead::script(node("port-zero.js")).instances(2).start();
    stead.reload();
    let lines = stead.output.lines();
    assert!(!lines.is_empty());
    for line in &lines {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value.is_object(), "{line}");
    }
    assert!(lines.iter().any(|line| line.contains("port ")), "what workers print is among them: {lines:#?}");
}

#[test]
fn hundreds_of_connections_to_one_worker_are_no_trouble() {
    let _turn = alone();
    let stead = Stead::script(node("slow.js")).instances(1).start();
    let mut config = gets(stead.port, "/wait?ms=100", 400);
    config.requests_max = Some(2000);
    let report = stead_load::run(config).expect("a load can be run");
    assert_eq!((report.ok, report.failed), (2000, 0), "{}", report.to_json(5));
    assert!(
        report.elapsed < Duration::from_secs(5),
        "a worker that waits takes all at once: {:?}",
        report.elapsed
    );
}
