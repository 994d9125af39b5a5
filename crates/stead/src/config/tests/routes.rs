//! Routes: what is written for them, and every way in which they do not go together.

use super::*;
use crate::config::RateLimit;
use std::fmt::Write;
use std::time::Duration;

fn app(name: &str, lines: &[&str]) -> String {
    format!("[app.{name}]\ncommand = \"gunicorn api:app\"\n{}\n", lines.join("\n"))
}

#[test]
fn routes_say_which_requests_and_what_holds_for_them() {
    let routes = "routes = ['Shop.test', { match = '/api/', rate_limit = '10/m', body_bytes_max = '1MiB', timeout = '5s' }]";
    let settings = load_file(&folder(), &app("shop", &["listen = 80", routes]), "").unwrap();
    let [plain, limited] = settings.apps[0].routes.as_slice() else { panic!("{settings:?}") };
    assert_eq!((plain.pattern.to_string(), plain.rate_limit), ("shop.test".to_owned(), None));
    assert_eq!(limited.pattern.to_string(), "/api");
    assert_eq!(limited.rate_limit, Some(RateLimit { count: 10, period: Duration::from_secs(60) }));
    assert_eq!((limited.body_bytes_max, limited.timeout), (Some(1 << 20), Some(Duration::from_secs(5))));
    assert!(!settings.apps[0].takes_rest());
}

#[test]
fn files_are_served_by_an_app_of_their_own() {
    let folder = folder();
    folder.file("public/a.css", "");
    folder.file("sub/x", "");
    let routes = "routes = [{ match = '/assets', static = 'public', rate_limit = '5/s' }, { match = '/sub', static = 'sub' }]";
    let lines = ["cwd = 'bin'", "instances = 4", "listen = 80", routes];
    let settings = load_file(&folder, &app("shop", &lines), "").unwrap();
    let [shop, files] = settings.apps.as_slice() else { panic!("{settings:?}") };
    assert!(shop.has_companion && shop.takes_rest() && !files.takes_rest());
    assert_eq!((files.name.as_str(), files.instances, &files.listen), ("shop.static", 1, &shop.listen));
    let words: Vec<_> = files.program.arguments[1..].iter().map(|word| word.to_string_lossy()).collect();
    let expected =
        "file-server --socket {socket} --route /assets <folder>/public --route /sub <folder>/sub".to_owned();
    assert_eq!(folder.neutral(&words.join(" ")), expected);
    assert_eq!(files.routes[0].rate_limit, Some(RateLimit { count: 5, period: Duration::from_secs(1) }));
}

#[test]
fn every_mistake_in_a_route_is_explained() {
    let folder = folder();
    folder.file("file", "");
    let cases = [
        "routes = 'https://shop.test'",
        "routes = 'shop.test:80'",
        "routes = ['/a', 7]",
        "routes = ''",
        "routes = '/a/*'",
        "routes = '/a%20b'",
        "routes = { rate_limit = '1/s' }",
        "routes = { match = '/a', rate = '1/s' }",
        "routes = { match = '/a', rate_limit = '0/s' }",
        "routes = { match = '/a', rate_limit = 5 }",
        "routes = { match = '/a', timeout = '0s' }",
        "routes = { match = '/a', redirect = 'new.test' }",
        "routes = { match = '/a', redirect = 'https://new.test?a' }",
        "routes = { match = '/a', redirect = 'https://new.test', body_bytes_max = '1B' }",
        "routes = { match = '/a', static = 'file' }",
        "routes = ['shop.test/a', 'SHOP.test/a/']",
        "routes = '/a'\nmode = 'direct'",
    ];
    let mut text = String::new();
    for lines in cases {
        let error = load_file(&folder, &app("shop", &["listen = 80", lines]), "").unwrap_err();
        writeln!(text, "--- {lines}\n{}", report(&folder, &error)).unwrap();
    }
    let error =
        load_file(&folder, &app("shop", &["routes = { match = '/a', static = 'bin' }"]), "").unwrap_err();
    writeln!(text, "--- static without listen\n{}", report(&folder, &error)).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn apps_that_cannot_share_an_address_are_told_why() {
    let folder = folder();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    folder.file("cert.pem", &made.cert.pem());
    folder.file("key.pem", &made.signing_key.serialize_pem());
    let tls = "listen = 'https://80'\ntls = { certificate = 'cert.pem', key = 'key.pem' }";
    let asking = format!("{tls}\ntls_client_ca = {{ required = 'cert.pem' }}\nroutes = '/b'");
    let cases: [(&str, &str); 6] = [
        ("listen = 80", "listen = 80"),
        ("listen = 80\nroutes = { match = 'old.test', redirect = 'https://new.test' }", "listen = 80"),
        ("listen = [80, 81]\nroutes = ['a', 'b']", "listen = 81\nroutes = 'b'"),
        ("listen = 'unix:a'\nmode = 'shared'\nupstream = 'listen-fds'", "listen = 'unix:./a'\nroutes = '/b'"),
        (tls, "listen = 80\nroutes = '/b'"),
        (tls, &asking),
    ];
    let mut text = String::new();
    for (one, other) in cases {
        let file = format!("{}{}", app("one", &[one]), app("other", &[other]));
        let error = load_file(&folder, &file, "").unwrap_err();
        writeln!(text, "--- {one}\n--- {other}\n{}", report(&folder, &error)).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn apps_that_can_share_an_address_are_left_alone() {
    let cases = [
        ("listen = 80\nroutes = 'a'", "listen = 80"),
        ("listen = 80\nroutes = 'a'", "listen = 80\nroutes = ['*.a', 'a/b']"),
        ("listen = 0", "listen = 0"),
        ("listen = 80", "listen = 81"),
        ("listen = 80", "listen = 80\nautostart = false"),
    ];
    for (one, other) in cases {
        let file = format!("{}{}", app("one", &[one]), app("other", &[other]));
        let loaded = load_file(&folder(), &file, "");
        assert!(loaded.is_ok(), "{one} / {other}: {loaded:?}");
    }
}
