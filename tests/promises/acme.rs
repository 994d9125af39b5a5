//! "I name the hosts, and there is a certificate: got, used and renewed without me, and without anybody noticing. If it cannot
//! be had, I am told what to do, and nobody is served something else instead."
//!
//! Against Pebble, the ACME server that Let's Encrypt tests clients with.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::background::Background;
use crate::support::certificates::Authority;
use crate::support::https_load::HttpsLoad;
use crate::support::pebble::{Order, Pebble};
use crate::support::ports::free_port;
use crate::support::processes::kill;
use crate::support::stead::{Finished, Plan, Verb};
use crate::support::{Stead, beside, eventually, get, node, pause_between};

/// One failed validation and its pause included: Pebble waits five seconds for an answer, which a loaded machine may need.
const LIMIT: Duration = Duration::from_secs(200);
const YEAR: u64 = 365 * 24 * 60 * 60;
const NAMES: &str = "[\"localhost\", \"www.shop.test\"]";

/// A program, an ACME server that does not run yet, and who vouches for that.
struct Shop {
    plan: Plan,
    pebble: Pebble,
    authority: Authority,
}

impl Shop {
    fn new(program: &str) -> Shop {
        let plan = Stead::script(node(program));
        let authority = Authority::new(plan.directory());
        let pebble = Pebble::new();
        let home = plan.directory().join("home");
        let setting = pebble.setting(NAMES, &authority);
        let plan = plan.listen_https().set("tls", &setting).env("STEAD_HOME", home.display());
        Shop { plan, pebble, authority }
    }
}

/// An order for a port on which nobody listens in the place of the other.
fn order(http: Option<u16>, https: Option<u16>, seconds: u64) -> Order {
    let port = |port: Option<u16>| port.unwrap_or_else(free_port);
    Order { http: port(http), https: port(https), seconds, address: "127.0.0.1" }
}

/// What curl makes of `https://HOST/`, if only what Pebble issues is good.
fn curl(directory: &Path, port: u16, host: &str) -> Finished {
    let mut command = Command::new("curl");
    command.current_dir(directory).args(["-sS", "--cacert", "roots.pem", "--max-time", "20"]);
    command.args(["--resolve", &format!("{host}:{port}:127.0.0.1"), &format!("https://{host}:{port}/")]);
    Verb::start(&mut command).finish(Duration::from_secs(30))
}

/// Asks not too often: a client is a process each time, and the certificate is made on the same cores.
#[track_caller]
fn wait_until_served(directory: &Path, port: u16) {
    eventually("it is served with a good certificate", LIMIT, || {
        let served = curl(directory, port, "localhost").stdout == "hello";
        if !served {
            pause_between(Duration::from_millis(100));
        }
        served.then_some(())
    });
}

#[track_caller]
fn assert_served(stead: &Stead) {
    wait_until_served(stead.path(), stead.port);
    assert_eq!(curl(stead.path(), stead.port, "www.shop.test").stdout, "hello");
}

#[track_caller]
fn assert_said(stead: &Stead, text: &str) -> String {
    stead.output.wait_for(text, LIMIT, |line| line.contains(text).then(|| line.to_owned()))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("it can be read").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn certificate_is_got_by_http_01_also_where_all_else_is_sent_to_https() {
    let _turn = beside();
    let Shop { plan, mut pebble, authority } = Shop::new("hello.js");
    let (plain, directory) = (free_port(), plan.directory().to_owned());
    pebble.start(&directory, &authority, &order(Some(plain), None, YEAR));
    let plan = plan.option("--listen", format!("http://127.0.0.1:{plain}")).set("redirect_https", "true");
    let stead = plan.start();
    assert_served(&stead);
    assert_said(&stead, "got a certificate for localhost, www.shop.test, good until");
    assert_eq!(get(plain, "/").status, 308);
    assert_eq!(get(plain, "/.well-known/acme-challenge/none").status, 308);
    let kept = files(&directory.join("home/acme"));
    assert!(kept.iter().any(|path| path.ends_with("account.json")), "{kept:?}");
    for path in kept {
        let mode = fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
}

#[test]
fn certificate_is_got_by_tls_alpn_01_where_there_is_only_https() {
    let _turn = beside();
    let Shop { plan, mut pebble, authority } = Shop::new("hello.js");
    let directory = plan.directory().to_owned();
    let stead = plan.start();
    assert_said(&stead, "clients are refused until it is there");
    // Nothing that is not the real one is ever shown.
    let mut command = Command::new("openssl");
    command.args(["s_client", "-servername", "localhost", "-connect", &format!("127.0.0.1:{}", stead.port)]);
    let said = Verb::start(&mut command).finish(LIMIT);
    assert!(said.stdout.contains("no peer certificate available"), "{said:?}");
    // The server is not there: that costs little, and is soon tried again.
    assert_said(&stead, "the server does not answer as it should");
    pebble.start(&directory, &authority, &order(None, Some(stead.port), YEAR));
    assert_served(&stead);
}

#[test]
fn certificate_is_renewed_and_no_request_lost() {
    let _turn = beside();
    let Shop { plan, mut pebble, authority } = Shop::new("executions.js");
    let directory = plan.directory().to_owned();
    let stead = plan.instances(2).launch();
    pebble.start(&directory, &authority, &order(None, Some(stead.port), 30));
    assert_said(&stead, "got a certificate");
    eventually("it is used", LIMIT, || {
        (curl(&directory, stead.port, "localhost").code == Some(0)).then_some(())
    });
    let load = HttpsLoad::trusting(stead.port, &directory.join("roots.pem"), 4);
    let got = || stead.output.lines().iter().filter(|line| line.contains("got a certificate")).count();
    eventually("it is renewed twice", LIMIT, || (got() >= 3).then_some(()));
    load.goes_on();
    let outcome = load.stop();
    outcome.assert_nothing_failed();
    assert!(outcome.certificates >= 2, "{outcome:?}");
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let _turn = beside();
    let Shop { plan, mut pebble, authority } = Shop::new("hello.js");
    let (plain, directory) = (free_port(), plan.directory().to_owned());
    pebble.start(&directory, &authority, &order(None, None, YEAR));
    let stead = plan.option("--listen", format!("http://127.0.0.1:{plain}")).start();
    let said = assert_said(&stead, "failed to get a certificate");
    for part in [
        "by HTTP-01",
        "is served here",
        "on port 80",
        "firewall",
        "clients are refused",
        "the next try is in",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(get(plain, "/").text(), "hello\n", "what needs no certificate is served");
}

#[test]
fn daemon_that_dies_in_the_middle_gets_it_in_its_next_life() {
    let _turn = beside();
    let Shop { plan, mut pebble, authority } = Shop::new("hello.js");
    let directory = plan.directory().to_owned();
    let stead = plan.start();
    kill(stead.status().daemon_pid());
    pebble.start(&directory, &authority, &order(None, Some(stead.port), YEAR));
    for _ in 0..3 {
        kill(stead.wait_complete().daemon_pid());
    }
    assert_served(&stead);
    // What is there already is used at once.
    kill(stead.wait_complete().daemon_pid());
    assert_served(&stead);
    let got = stead.output.lines().iter().filter(|line| line.contains("got a certificate")).count();
    assert_eq!(got, 1);
}

#[test]
fn apps_in_the_background_share_a_certificate() {
    let _turn = beside();
    let user = Background::new();
    let authority = Authority::new(user.path());
    let mut pebble = Pebble::new();
    let ports = [free_port(), free_port()];
    pebble.start(user.path(), &authority, &order(None, Some(ports[0]), YEAR));
    let setting = pebble.setting("\"localhost\"", &authority);
    let table = |at: usize| {
        let listen = format!("https://127.0.0.1:{}", ports[at]);
        format!(
            "[app.shop{at}]\ncommand = \"{}\"\nlisten = \"{listen}\"\ntls = {setting}\n",
            node("hello.js")
        )
    };
    user.write("stead.toml", &format!("{}{}", table(0), table(1)));
    user.done(&["start"]);
    for port in ports {
        wait_until_served(user.path(), port);
    }
    let pems = files(&user.home().join("acme"));
    assert_eq!(pems.iter().filter(|path| path.extension().is_some_and(|end| end == "pem")).count(), 1);
}
