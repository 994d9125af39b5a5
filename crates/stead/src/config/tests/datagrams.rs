//! Addresses of UDP: what an app that has no others cannot be told.

use super::*;
use std::fmt::Write;

fn app(lines: &str) -> String {
    format!("[app.dns]\ncommand = \"python3 dns.py\"\n{}\n", lines.replace("; ", "\n"))
}

#[test]
fn what_is_about_connections_needs_an_address_for_them() {
    let cases = [
        "mode = 'http'",
        "mode = 'direct'",
        "routes = '/a'",
        "ready = 'tcp'",
        "ready = 'listen'",
        "ready = 'message'",
        "ready = { http = '/' }",
        "health = 'tcp'",
        "health = { http = '/' }",
    ];
    let mut text = String::new();
    for lines in cases {
        let folder = folder();
        let error = load_file(&folder, &app(&format!("listen = 'udp://5353'; {lines}")), "").unwrap_err();
        writeln!(text, "--- {lines}\n{}", report(&folder, &error)).unwrap();
        let both = app(&format!("listen = ['80', 'udp://5353']; {lines}"));
        assert!(load_file(&folder, &both, "").is_ok(), "{lines}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn what_can_be_is_accepted() {
    for lines in [
        "mode = 'shared'",
        "mode = 'auto'",
        "ready = 'notify'",
        "health = 'watchdog'",
        "health = { command = 'true' }",
    ] {
        let text = app(&format!("listen = 'udp://5353'; {lines}"));
        assert!(load_file(&folder(), &text, "").is_ok(), "{lines}");
    }
}
