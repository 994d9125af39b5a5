//! "A route of mine lets each client ask so often and send so much, waits so long, leads elsewhere, or shows files: whatever is
//! asked for, and however it is spelled."

use std::process::Command;

use crate::support::background::Background;
use crate::support::ports::free_port;
use crate::support::sharing::{LIMIT, ask, check, user, write};
use crate::support::{Client, beside, eventually};

#[test]
fn a_route_limits_what_its_requests_may_do() {
    let _turn = beside();
    let port = free_port();
    let routes = "routes = [\"/\", { match = \"/small\", body_bytes_max = \"10B\" }, { match = \"/fast\", timeout = \"300ms\" }, \
                  { match = \"/rare\", rate_limit = \"3/h\" }]";
    let user = user(&[("a", &format!("listen = \"{port}\"\n{routes}"))]);
    user.done(&["start"]);
    let post = |path: &str, body: &str| {
        let mut client = Client::connect(port);
        let length = body.len();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"));
        client.answer()
    };
    assert_eq!(post("/small", "0123456789").text(), "a /small 10\n");
    assert_eq!(post("/%73mall//x", "0123456789a").status, 413);
    assert_eq!(post("/large", "0123456789a").text(), "a /large 11\n");
    let mut chunked = Client::connect(port);
    chunked.send(
        "POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n",
    );
    assert_eq!(chunked.answer().status, 413);
    assert_eq!(ask(port, "x", "/fast/hang").status, 504);
    let mut client = Client::connect(port);
    for _ in 0..3 {
        client.send("GET /rare HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.answer().status, 200);
    }
    client.send("GET //rare/x HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = client.answer();
    let wait: u32 = answer.header("retry-after").expect("it says when").parse().expect("seconds");
    assert!(answer.status == 429 && (1..=1200).contains(&wait), "{answer:?}");
    client.send("GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.answer().status, 200, "the connection goes on");
    // A reload does not begin to count anew.
    user.done(&["reload", "a"]);
    assert_eq!(ask(port, "x", "/rare").status, 429);
}

#[test]
fn clients_behind_a_trusted_proxy_are_told_apart_by_its_word() {
    let _turn = beside();
    let port = free_port();
    let routes = "trust_forwarded = true\nroutes = [{ match = \"/\", rate_limit = \"1/h\" }]";
    let user = user(&[("a", &format!("listen = \"{port}\"\n{routes}"))]);
    user.done(&["start"]);
    let status = |forwarded: &str| {
        let mut client = Client::connect(port);
        client.send(format!("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {forwarded}\r\n\r\n"));
        client.answer().status
    };
    assert_eq!(status("192.0.2.1"), 200);
    assert_eq!(status("203.0.113.9, 192.0.2.1"), 429, "what stands in front is the client's own word");
    assert_eq!(status("192.0.2.1, 192.0.2.2"), 200);
}

#[test]
fn redirects_keep_path_and_query_and_need_no_worker() {
    let _turn = beside();
    let port = free_port();
    let routes = "routes = [{ match = \"old.test\", redirect = \"https://new.test/\" }, { match = \"/moved\", redirect = \
                  \"http://new.test:81/to\" }]";
    let user = user(&[("a", &format!("listen = \"{port}\"\n{routes}"))]);
    user.done(&["start"]);
    let location = |host: &str, target: &str| {
        let answer = ask(port, host, target);
        assert_eq!(answer.status, 308, "{answer:?}");
        answer.header("location").map(str::to_owned).unwrap_or_default()
    };
    assert_eq!(location("old.test", "/a/b?c=d"), "https://new.test/a/b?c=d");
    assert_eq!(location("old.test", "//evil.test"), "https://new.test//evil.test");
    assert_eq!(location("x", "/moved/a"), "http://new.test:81/to/moved/a");
    // No route leads to the app, so it gets the rest.
    check(port, "x", "/", "a");
}

#[test]
fn files_of_a_route_are_served_beside_the_app() {
    let _turn = beside();
    let port = free_port();
    let user = Background::new();
    std::fs::create_dir_all(user.path().join("public/sub")).expect("there is room");
    for (name, text) in
        [("app.css", "body {}"), ("index.html", "home"), ("sub/index.html", "below"), (".env", "SECRET=1")]
    {
        user.write(&format!("public/{name}"), text);
    }
    let routes = "routes = [{ match = \"/assets\", static = \"public\" }, { match = \"files.test\", static = \"public/sub\" }]";
    write(&user, "stead.toml", &[("a", &format!("listen = \"{port}\"\n{routes}"))]);
    user.done(&["start"]);
    user.complete();
    let curl = |host: &str, path: &str, arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.args([
            "-s",
            "--path-as-is",
            "-H",
            &format!("Host: {host}"),
            "-w",
            "\n%{http_code} %header{location}",
        ]);
        let output = command.args(arguments).arg(format!("http://127.0.0.1:{port}{path}")).output();
        String::from_utf8_lossy(&output.expect("curl is installed").stdout).into_owned()
    };
    assert_eq!(curl("x", "/assets/app.css", &[]), "body {}\n200 ");
    assert_eq!(curl("x", "/assets/app.css", &["-r", "0-3"]), "body\n206 ");
    assert_eq!(curl("x", "/assets/sub", &[]), "\n307 /assets/sub/");
    assert_eq!(curl("x", "/assets/sub/", &[]), "below\n200 ");
    assert_eq!(curl("x", "/assets", &[]), "\n307 /assets/");
    assert_eq!(curl("x", "//assets?a", &[]), "\n307 /assets/?a");
    assert_eq!(curl("x", "/assets/", &[]), "home\n200 ");
    assert_eq!(curl("files.test", "/", &[]), "below\n200 ");
    for hidden in ["/assets/.env", "/assets/%2eenv", "/assets/none"] {
        assert!(curl("x", hidden, &[]).ends_with("\n404 "), "{hidden}");
    }
    assert!(curl("x", "/assets/..%2fstead.toml", &[]).ends_with("\n400 "));
    check(port, "x", "/", "a");
    assert_eq!(user.complete().names(), ["a", "a.static"]);
    // They come and go together.
    user.done(&["stop", "a"]);
    eventually("nobody listens", LIMIT, || std::net::TcpStream::connect(("127.0.0.1", port)).err());
    user.done(&["start", "a"]);
    eventually("the files are back", LIMIT, || {
        (std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
            && curl("files.test", "/", &[]) == "below\n200 ")
            .then_some(())
    });
    user.done(&["delete", "a"]);
    user.wait_status("both are gone", |status| status.names().is_empty());
}

#[test]
fn a_reload_takes_over_whether_files_are_served() {
    let _turn = beside();
    let port = free_port();
    let user = Background::new();
    for directory in ["one", "two"] {
        std::fs::create_dir(user.path().join(directory)).expect("there is room");
        user.write(&format!("{directory}/name"), directory);
    }
    let config = |routes: &str| {
        write(&user, "stead.toml", &[("a", &format!("listen = \"{port}\"\nroutes = [{routes}]"))]);
    };
    let served = |text: &str| {
        eventually(&format!("{text} is served"), LIMIT, || {
            (ask(port, "x", "/files/name").text() == text).then_some(())
        });
    };
    config("");
    user.done(&["start"]);
    served("a /files/name 0\n");
    config("{ match = \"/files\", static = \"one\" }");
    user.done(&["reload", "a"]);
    served("one");
    config("{ match = \"/files\", static = \"two\" }");
    user.done(&["reload", "a"]);
    served("two");
    config("");
    user.done(&["reload", "a"]);
    served("a /files/name 0\n");
    user.wait_status("one app is left", |status| status.names() == ["a"]);
}
