//! "My built site is served by one command, as any static server would, and goes on when its server dies."

use std::process::Command;

use crate::support::background::Background;
use crate::support::ports::free_port;
use crate::support::processes::kill;
use crate::support::{beside, get};

/// What curl says: status, and the header that is asked for.
fn curl(port: u16, path: &str, header: &str, arguments: &[&str]) -> (String, String, String) {
    let mut command = Command::new("curl");
    command
        .args(["-s", "--path-as-is", "-w", &format!("\n%{{http_code}} %header{{{header}}}")])
        .args(arguments);
    let output = command.arg(format!("http://127.0.0.1:{port}{path}")).output().expect("curl is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, end) = text.rsplit_once('\n').expect("it ends with the status");
    let (status, header) = end.split_once(' ').expect("status and header");
    (status.to_owned(), header.to_owned(), body.to_owned())
}

fn site(user: &Background) {
    std::fs::create_dir_all(user.path().join("site/a")).expect("there is room");
    for (name, text) in [
        ("index.html", "home"),
        ("a/b.css", "body {}"),
        (".env", "SECRET=1"),
        ("app.js", "plain"),
        ("app.js.br", "packed"),
    ] {
        user.write(&format!("site/{name}"), text);
    }
}

#[test]
fn files_are_served_with_their_types_and_conditions() {
    let _turn = beside();
    let (user, port) = (Background::new(), free_port());
    site(&user);
    user.done(&["serve", "site", &port.to_string()]);
    assert_eq!(user.complete().names(), ["site"]);
    let ok = |path: &str, header: &str, arguments: &[&str]| curl(port, path, header, arguments);
    assert_eq!(ok("/", "content-type", &[]), ("200".into(), "text/html".into(), "home".into()));
    assert_eq!(ok("/a/b.css", "content-type", &[]).1, "text/css");
    assert_eq!(
        ok("/a/b.css", "content-range", &["-r", "0-3"]),
        ("206".into(), "bytes 0-3/7".into(), "body".into())
    );
    let etag = ok("/a/b.css", "etag", &[]).1;
    assert_eq!(ok("/a/b.css", "etag", &["-H", &format!("If-None-Match: {etag}")]).0, "304");
    assert_eq!(ok("/app.js", "content-encoding", &["-H", "Accept-Encoding: br"]).1, "br");
    for hidden in ["/.env", "/%2eenv", "/../stead.toml", "/a/../.env", "/nothing"] {
        assert_eq!(ok(hidden, "x", &[]).0, "404", "{hidden}");
    }
    assert_eq!(ok("/", "x", &["-X", "POST"]).0, "405");
    // Its death is nobody's business.
    kill(user.complete().ready_pids()[0]);
    assert_eq!(get(port, "/").text(), "home");
}

#[test]
fn a_single_page_application_knows_its_own_paths() {
    let _turn = beside();
    let (user, port) = (Background::new(), free_port());
    site(&user);
    user.done(&[
        "serve",
        "site",
        "--listen",
        &format!("127.0.0.1:{port}"),
        "--spa",
        "--name",
        "shop",
        "-i",
        "2",
    ]);
    assert_eq!(curl(port, "/cart/7", "content-type", &[]), ("200".into(), "text/html".into(), "home".into()));
    assert_eq!(curl(port, "/.env", "x", &[]).0, "404");
    assert_eq!(user.complete().instances(), (2, 2));
}

#[test]
fn what_cannot_be_served_is_said() {
    let user = Background::new();
    user.write("file", "");
    for (what, said) in [("nowhere", "No such file"), ("file", "not a directory")] {
        let refused = user.verb(&["serve", what]);
        assert!(refused.code == Some(2) && refused.stderr.contains(said), "{refused:?}");
    }
}
