//! "Several apps, one port: each gets the requests of its hosts and paths, and whatever happens to one of them, the others do not
//! notice. What I have written wrong, you tell me before anything runs."

use std::process::Command;

use crate::support::background::Background;
use crate::support::certificates::Authority;
use crate::support::load::{assert_nothing_failed, gets, posts, without_keep_alive};
use crate::support::ports::free_port;
use crate::support::processes::kill;
use crate::support::sharing::{LIMIT, ask, check, user, wait_for, who, write};
use crate::support::{Client, Load, beside, eventually, node};

#[test]
fn requests_reach_the_app_of_their_host_and_path() {
    let _turn = beside();
    let port = free_port();
    let listen = format!("listen = \"{port}\"");
    let user = user(&[
        ("site", &listen),
        ("shop", &format!("{listen}\nroutes = [\"shop.test\", \"site.test/shop\"]")),
        ("blogs", &format!("{listen}\nroutes = \"*.blogs.test\"")),
        ("api", &format!("{listen}\nroutes = \"/api\"")),
    ]);
    user.done(&["start"]);
    user.complete();
    check(port, "shop.test", "/", "shop");
    check(port, "SHOP.test.:8080", "/a?b", "shop");
    check(port, "site.test", "/", "site");
    check(port, "site.test", "/shop/cart?x=/y", "shop");
    check(port, "site.test", "/shopping", "site");
    check(port, "site.test", "/%73hop", "shop");
    check(port, "a.b.blogs.test", "/api", "blogs");
    check(port, "blogs.test", "/", "site");
    check(port, "other.test", "//api;v=1/x", "api");
    check(port, "other.test", "http://shop.test/absolute", "shop");
    // Nothing is taken off the path on its way.
    assert_eq!(ask(port, "site.test", "//shop/%61?b").text(), "shop //shop/%61?b 0\n");
    for dots in ["/shop/../admin", "/shop/%2e%2E/admin", "/shop/..%2fadmin", "/.;x/shop"] {
        assert_eq!(who(port, "site.test", dots).0, 400, "{dots}");
    }
    // One connection may ask everybody.
    let mut client = Client::connect(port);
    for (host, app) in
        [("shop.test", "shop"), ("x.blogs.test", "blogs"), ("shop.test", "shop"), ("x", "site")]
    {
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.answer().text(), format!("{app} / 0\n"));
    }
}

#[test]
fn what_happens_to_one_app_is_not_noticed_by_the_others() {
    let _turn = beside();
    let port = free_port();
    let listen = format!("listen = \"{port}\"");
    let a = format!("{listen}\ninstances = 2\nroutes = \"/a\"");
    let b = format!("{listen}\ninstances = 2\nroutes = \"/b\"");
    let user = user(&[("a", &a)]);
    write(&user, "b.toml", &[("b", &b)]);
    user.done(&["start"]);
    user.done(&["start", "b.toml"]);
    wait_for(port, "/b", "b");
    let load =
        Load::start([("kept", gets(port, "/a", 4)), ("new", without_keep_alive(gets(port, "/a/x", 2)))]);
    load.each_answers(50);
    user.done(&["reload", "b"]);
    load.each_answers(50);
    kill(user.complete().of("b").ready_pids()[0]);
    user.complete();
    user.done(&["stop", "b"]);
    let answer = ask(port, "any.test", "/b");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.text().contains("stopped") && answer.header("retry-after").is_some(), "{answer:?}");
    load.each_answers(50);
    user.done(&["start", "b"]);
    wait_for(port, "/b", "b");
    user.done(&["restart", "b"]);
    user.done(&["delete", "b"]);
    eventually("b is forgotten", LIMIT, || (who(port, "any.test", "/b").0 == 404).then_some(()));
    load.each_answers(50);
    user.done(&["start", "b.toml"]);
    wait_for(port, "/b", "b");
    load.each_answers(50);
    assert_nothing_failed(&load.stop());
    // The one that opened the address is not needed for it.
    let load = Load::start([("kept", gets(port, "/b", 4)), ("new", without_keep_alive(gets(port, "/b", 2)))]);
    load.each_answers(50);
    user.done(&["delete", "a"]);
    load.each_answers(50);
    assert_nothing_failed(&load.stop());
}

#[test]
fn the_next_daemon_serves_the_same_routes() {
    let _turn = beside();
    let port = free_port();
    let listen = format!("listen = \"{port}\"");
    let user = user(&[
        ("first", &format!("{listen}\nroutes = \"/first\"")),
        (
            "a",
            &format!("{listen}\nroutes = [\"/a\", {{ match = \"/old\", redirect = \"https://new.test\" }}]"),
        ),
        ("b", &listen),
    ]);
    user.done(&["start"]);
    // Whoever opened the listener may be gone.
    user.done(&["delete", "first"]);
    user.done(&["stop", "a"]);
    let before =
        user.wait_status("one is left", |status| status.names().len() == 2 && status.of("b").is_complete());
    for round in 0..2 {
        kill(user.try_status().expect("it runs").daemon_pid());
        user.wait_status("the next daemon serves", |status| {
            status.daemon_starts() > before.daemon_starts() + round
        });
        assert_eq!(who(port, "any.test", "/a").0, 503);
        check(port, "any.test", "/first", "b");
    }
    user.done(&["start", "a"]);
    wait_for(port, "/a", "a");
    let mut kept = Client::connect(port);
    kept.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(kept.answer().text(), "a /a 0\n");
    let load = Load::start([("a", gets(port, "/a", 4)), ("b", without_keep_alive(gets(port, "/b", 2)))]);
    load.each_answers(50);
    user.done(&["upgrade", "--binary", env!("CARGO_BIN_EXE_stead")]);
    load.each_answers(200);
    assert_nothing_failed(&load.stop());
    kept.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(kept.answer().text(), "b /b 0\n", "a client that was moved is served by the same routes");
    assert_eq!(ask(port, "x", "/old/y?z").header("location"), Some("https://new.test/old/y?z"));
}

#[test]
fn changed_routes_are_taken_over_by_a_reload() {
    let _turn = beside();
    let port = free_port();
    let app = |name, route: &str| (name, format!("listen = \"{port}\"\nroutes = \"{route}\""));
    let write = |user: &Background, a: &str, b: &str| {
        let (a, b) = (app("a", a), app("b", b));
        write(user, "stead.toml", &[(a.0, &a.1), (b.0, &b.1)]);
    };
    let user = Background::new();
    write(&user, "/a", "/b");
    user.done(&["start"]);
    check(port, "x", "/a", "a");
    write(&user, "/new", "/b");
    user.done(&["reload", "a"]);
    check(port, "x", "/new", "a");
    assert_eq!(who(port, "x", "/a").0, 404);
    // In another file nobody sees that it is taken before the app is asked.
    let b = format!("listen = \"{port}\"\nroutes = \"/new\"");
    self::write(&user, "stead.toml", &[("b", &b)]);
    let refused = user.verb(&["reload", "b"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("both have the route `/new`"), "{refused:?}");
    check(port, "x", "/b", "b");
    check(port, "x", "/new", "a");
}

#[test]
fn programs_that_listen_by_themselves_get_their_routes_too() {
    let _turn = beside();
    let port = free_port();
    let env = format!("env = {{ PORT = \"{port}\" }}");
    let user = user(&[("a", &format!("{env}\nroutes = \"a.test\"")), ("b", &env)]);
    user.done(&["start"]);
    user.complete();
    check(port, "a.test", "/", "a");
    check(port, "b.test", "/", "b");
    // A third without routes is refused as by the kernel, and told why.
    write(&user, "c.toml", &[("c", &env)]);
    let refused = user.verb(&["start", "c.toml"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("neither says which requests"), "{refused:?}");
    check(port, "b.test", "/", "b");
}

#[test]
fn unix_sockets_are_shared_as_ports_are() {
    let _turn = beside();
    let user = Background::new();
    let path = user.path().join("shared.sock");
    let listen = format!("listen = \"unix:{}\"", path.display());
    write(
        &user,
        "stead.toml",
        &[
            ("a", &format!("{listen}\nroutes = [{{ match = \"a.test\", rate_limit = \"2/h\" }}]")),
            ("b", &listen),
        ],
    );
    user.done(&["start"]);
    let ask = |host: &str| {
        let mut client = Client::connect_unix(&path);
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        client.answer()
    };
    assert_eq!(ask("a.test").text(), "a / 0\n");
    user.done(&["stop", "b"]);
    assert_eq!(ask("b.test").status, 503);
    assert_eq!(ask("a.test").text(), "a / 0\n");
    // Whoever comes over a Unix socket has no address: all of them are one client.
    assert_eq!(ask("a.test").status, 429);
    user.done(&["delete", "a"]);
    assert!(!path.exists());
}

#[test]
fn the_next_daemon_knows_where_a_stopped_program_listened_by_itself() {
    let _turn = beside();
    let port = free_port();
    let env = format!("env = {{ PORT = {port} }}");
    let user = user(&[("a", &format!("{env}\nroutes = \"/a\"")), ("b", &format!("{env}\nroutes = \"/b\""))]);
    user.done(&["start"]);
    user.done(&["stop", "a"]);
    assert_eq!(who(port, "any.test", "/a").0, 503);
    for round in 1..3 {
        kill(user.try_status().expect("it runs").daemon_pid());
        user.wait_status("the next daemon serves", |status| status.daemon_starts() > round);
        assert_eq!(who(port, "any.test", "/a").0, 503);
        check(port, "any.test", "/b", "b");
    }
}

#[test]
fn apps_that_cannot_share_an_address_are_refused_by_name() {
    let _turn = beside();
    let port = free_port();
    let listen = format!("listen = \"{port}\"");
    let check = |a: &str, b: &str, said: &str| {
        let user = user(&[("a", a), ("b", b)]);
        let refused = user.verb(&["start"]);
        assert!(refused.code == Some(2) && refused.stderr.contains(said), "{refused:?}");
        assert!(refused.stderr.contains("hint:"), "{refused:?}");
    };
    check(&listen, &listen, "apps `a` and `b` both listen on");
    let route = format!("{listen}\nroutes = [\"x.test\", \"y.test/a\"]");
    check(&route, &format!("{listen}\nroutes = \"Y.test/a/\""), "both have the route `y.test/a`");
    check(&format!("{listen}\nmode = \"direct\""), &route, "app `a` takes whole connections");
    check(&listen, &format!("{listen}\nmode = \"shared\""), "app `b` takes whole connections");
}

#[test]
fn apps_of_two_files_that_cannot_share_an_address_are_refused_by_name() {
    let _turn = beside();
    let port = free_port();
    let user = user(&[("a", &format!("listen = \"{port}\""))]);
    user.done(&["start"]);
    let check = |lines: &str, said: &str| {
        write(&user, "b.toml", &[("b", lines)]);
        let refused = user.verb(&["start", "b.toml"]);
        assert!(refused.code != Some(0) && refused.stderr.contains(said), "{refused:?}");
        assert!(refused.stderr.contains("hint:"), "{refused:?}");
    };
    check(&format!("listen = \"{port}\""), "apps `a` and `b` both listen on");
    check(&format!("listen = \"127.0.0.1:{port}\"\nroutes = \"b.test\""), "the same port at another address");
    check(&format!("listen = \"{port}\"\nmode = \"direct\"\n"), "app `b` takes whole connections");
    assert_eq!(who(port, "x", "/"), (200, "a".to_owned()));
    // A stopped app keeps nothing: another may take its place, and it cannot come back then.
    user.done(&["stop", "a"]);
    write(&user, "b.toml", &[("b", &format!("listen = \"{port}\""))]);
    user.done(&["start", "b.toml"]);
    assert_eq!(who(port, "x", "/"), (200, "b".to_owned()));
    let refused = user.verb(&["start", "a"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("`b` and `a` both listen"), "{refused:?}");
}

#[test]
fn killed_workers_of_two_apps_lose_no_request() {
    let _turn = beside();
    let port = free_port();
    let script = node("executions.js");
    let user = Background::new();
    let app = |name: &str| {
        format!(
            "[app.{name}]\ncommand = \"node {script}\"\nlisten = \"{port}\"\ninstances = 2\nroutes = \"/{name}\"\n"
        )
    };
    user.write("stead.toml", &format!("{}{}", app("a"), app("b")));
    user.done(&["start"]);
    let load = Load::start([
        ("get-a", gets(port, "/a", 4)),
        ("get-b", gets(port, "/b", 4)),
        ("idle", posts(port, "/a", 1)),
    ]);
    load.each_answers(20);
    for _ in 0..3 {
        let status = user.complete();
        ["a", "b"].iter().for_each(|app| kill(status.of(app).ready_pids()[0]));
        load.each_answers(20);
    }
    let reports = load.stop();
    assert_eq!(reports["get-a"].failed + reports["get-b"].failed, 0, "{reports:?}");
}

#[test]
fn every_app_brings_its_certificates_and_says_whether_http_is_enough() {
    let _turn = beside();
    let (port, plain) = (free_port(), free_port());
    let user = Background::new();
    let authority = Authority::new(user.path());
    let app = |name, more: &str| {
        authority.issue(name, &[&format!("{name}.test"), &format!("*.{name}.test")]);
        let tls = authority.setting(&[name]);
        let listen = format!("listen = [\"http://{plain}\", \"https://{port}\"]\ntls = {tls}");
        (name, format!("{listen}\n{more}"))
    };
    let apps = [
        app("shop", "routes = [\"shop.test\", \"*.shop.test\"]\nredirect_https = true"),
        app("blog", "routes = \"blog.test\""),
        app("rest", ""),
    ];
    write(&user, "stead.toml", &apps.each_ref().map(|(name, lines)| (*name, lines.as_str())));
    user.done(&["start"]);
    let curl = |host: &str| {
        let mut command = Command::new("curl");
        command.current_dir(user.path()).args(["-sS", "--cacert", "ca.pem", "--max-time", "20"]);
        command.args(["--resolve", &format!("{host}:{port}:127.0.0.1")]);
        let output = command.arg(format!("https://{host}:{port}/")).output().expect("curl is installed");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let served = |app: &str| (Some(0), format!("{app} / 0\n"));
    assert_eq!(curl("shop.test"), served("shop"));
    assert_eq!(curl("a.shop.test"), served("shop"));
    assert_eq!(curl("blog.test"), served("blog"));
    assert_eq!(curl("rest.test"), served("rest"));
    // 60: nobody has a certificate for it.
    assert_eq!(curl("other.test").0, Some(60));
    assert_eq!(
        ask(plain, "shop.test", "/a?b").header("location"),
        Some(&*format!("https://shop.test:{port}/a?b"))
    );
    check(plain, "blog.test", "/", "blog");
    user.done(&["delete", "shop"]);
    eventually("shop's certificate has gone with it", LIMIT, || {
        (curl("shop.test").0 == Some(60)).then_some(())
    });
    assert_eq!(curl("blog.test"), served("blog"));
    let before = user.complete();
    kill(before.daemon_pid());
    user.wait_status("the next daemon serves", |status| status.daemon_starts() > before.daemon_starts());
    eventually("blog has its certificate", LIMIT, || (curl("blog.test") == served("blog")).then_some(()));
    assert_eq!(curl("rest.test"), served("rest"));
}
