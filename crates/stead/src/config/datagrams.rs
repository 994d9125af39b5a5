//! Which addresses of UDP an app can have: nobody else's, and only one that takes sockets it is given.

use super::error::ConfigError;
use super::settings::{AppSettings, HealthCheck, Mode, Ready};

/// Whether what apps say of UDP can be kept.
pub(super) fn check(apps: &[AppSettings]) -> Result<(), ConfigError> {
    for (index, app) in apps.iter().enumerate().filter(|(_, app)| !app.datagrams.is_empty()) {
        check_one(app)?;
        for address in app.datagrams.iter().filter(|address| address.address.port() != Some(0)) {
            let is_there = |other: &&AppSettings| other.datagrams.contains(address);
            let earlier = apps[..index].iter().filter(|other| other.autostart && app.autostart);
            if let Some(other) = earlier.into_iter().find(is_there) {
                let reason = format!("app `{}` listens on `{address}` already", other.name);
                let hint = "datagrams cannot be told apart: give one of them another address";
                return wrong(app, &reason, hint);
            }
            if app.datagrams.iter().filter(|other| *other == address).count() > 1 {
                return wrong(app, &format!("`{address}` is there twice"), "write it once");
            }
        }
    }
    Ok(())
}

fn check_one(app: &AppSettings) -> Result<(), ConfigError> {
    if app.program.is_node {
        let hint = "leave it away: the workers get one shared socket when they call `bind` of `dgram`";
        return wrong(app, &format!("a Node.js program needs no `{}`", app.datagrams[0]), hint);
    }
    if app.listen.is_empty() { check_alone(app) } else { Ok(()) }
}

/// All addresses are UDP: nobody connects, and Stead reads nothing. Mode `shared` is what is done with them.
fn check_alone(app: &AppSettings) -> Result<(), ConfigError> {
    let balanced = matches!(app.mode, Mode::Http | Mode::Direct);
    let connects = matches!(app.ready, Ready::Listen | Ready::Message | Ready::Tcp | Ready::Http { .. });
    let asks = matches!(app.health.check, Some(HealthCheck::Http { .. } | HealthCheck::Tcp));
    let away = "give it an address for requests too, or leave that away";
    let ready = "write `ready = \"notify\"`, and let it send READY=1; without, it is ready after `assume_ready_after`";
    let known = [
        ("`tls` is about requests", app.tls.is_some(), away),
        ("`routes` is about requests", !app.routes.is_empty(), away),
        ("this `mode` is about connections", balanced, "workers share the socket: leave `mode` away"),
        ("this `ready` needs connections or a channel", connects, ready),
        ("this `health` is about connections", asks, "write { command = \"./check\" } or \"watchdog\""),
    ];
    match known.iter().find(|(_, is_set, _)| *is_set) {
        Some((what, _, hint)) => wrong(app, &format!("{what}, and all its addresses are UDP"), hint),
        None => Ok(()),
    }
}

fn wrong(app: &AppSettings, reason: &str, hint: &str) -> Result<(), ConfigError> {
    let message = format!("app `{}`: {reason}", app.name);
    Err(ConfigError::Option { message, hint: Some(hint.to_owned()) })
}
