//! Proxies in front, ids, traces and the access log: what is written for them, and what cannot be.

use super::*;
use crate::config::{AccessForm, TraceContext};
use std::fmt::Write;
use stead_balancer::{ProxyFrom, ProxyVersion};

fn app(lines: &str) -> String {
    format!("[app.shop]\ncommand = \"gunicorn api:app\"\n{}\n", lines.replace("; ", "\n"))
}

#[test]
fn proxies_are_everybody_or_networks() {
    let check = |written: &str, expected: ProxyFrom| {
        let settings = load_file(&folder(), &app(&format!("proxy_protocol = {written}")), "").unwrap();
        assert_eq!(settings.apps[0].proxy_protocol, expected, "{written}");
    };
    check("'off'", ProxyFrom::Nobody);
    check("'all'", ProxyFrom::Everybody);
    let networks = ["10.0.0.0/8", "::1"].map(|text| text.parse().unwrap());
    check("['10.0.0.0/8', '::1']", ProxyFrom::Networks(networks.into()));
    let settings = load_file(&folder(), &app("mode = 'direct'; send_proxy = 'v2'"), "").unwrap();
    assert_eq!(settings.apps[0].send_proxy, Some(ProxyVersion::V2));
    let written = serde_json::to_string(&settings.apps[0].proxy_protocol).unwrap();
    assert_eq!(serde_json::from_str::<ProxyFrom>(&written).unwrap(), ProxyFrom::Nobody);
}

#[test]
fn access_log_and_names_are_written_in_words() {
    let lines = "access_log = 'common'; access_log_query = true; request_id = true; trace_context = 'start'";
    let settings = load_file(&folder(), &app(lines), "").unwrap();
    let app = &settings.apps[0];
    assert_eq!((app.logs.access, app.logs.access_query), (Some(AccessForm::Common), true));
    assert_eq!((app.balancer.request_id, app.balancer.trace_context), (true, TraceContext::Start));
}

#[test]
fn every_mistake_about_the_edge_is_explained() {
    let cases = [
        "proxy_protocol = 'al'",
        "proxy_protocol = '10.0.0.0/8'",
        "proxy_protocol = []",
        "proxy_protocol = true",
        "proxy_protocol = ['10.0.0.1/8']",
        "proxy_protocol = ['lan']",
        "proxy_protocol = 'all'; mode = 'shared'",
        "send_proxy = 'v3'",
        "send_proxy = 'v1'; mode = 'http'",
        "access_log = 'combined'",
        "trace_context = 'begin'",
    ];
    let mut text = String::new();
    for lines in cases {
        let folder = folder();
        let error = load_file(&folder, &app(lines), "").unwrap_err();
        writeln!(text, "--- {lines}\n{}", report(&folder, &error)).unwrap();
    }
    insta::assert_snapshot!(text);
}
