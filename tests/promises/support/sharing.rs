//! Apps that share an address, each of which says who it is.

use std::time::Duration;

use super::background::Background;
use super::{Answer, Client, eventually, node};

/// Until something that was asked for is seen.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A user with these apps in `stead.toml`: name and the lines of its table besides the program.
pub(crate) fn user(apps: &[(&str, &str)]) -> Background {
    let user = Background::new();
    write(&user, "stead.toml", apps);
    user
}

/// A file with these apps.
pub(crate) fn write(user: &Background, file: &str, apps: &[(&str, &str)]) {
    let table = |(name, lines): &(&str, &str)| {
        format!("[app.{name}]\ncommand = \"node {}\"\n{lines}\n\n", node("who.js"))
    };
    user.write(file, &apps.iter().map(table).collect::<String>());
}

/// The answer to a GET on a connection of its own.
#[track_caller]
pub(crate) fn ask(port: u16, host: &str, target: &str) -> Answer {
    let mut client = Client::connect(port);
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    client.answer()
}

/// Status, and which app it came from.
#[track_caller]
pub(crate) fn who(port: u16, host: &str, target: &str) -> (u16, String) {
    let answer = ask(port, host, target);
    (answer.status, answer.text().split(' ').next().unwrap_or_default().to_owned())
}

/// A GET is answered by this app.
#[track_caller]
pub(crate) fn check(port: u16, host: &str, target: &str, app: &str) {
    assert_eq!(who(port, host, target), (200, app.to_owned()), "{host} {target}");
}

/// Waits until a request is answered by this app.
#[track_caller]
pub(crate) fn wait_for(port: u16, target: &str, app: &str) {
    eventually(&format!("{app} answers {target}"), LIMIT, || {
        (who(port, "any.test", target) == (200, app.to_owned())).then_some(())
    });
}
