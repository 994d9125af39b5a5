//! Which addresses of UDP an app can have: nobody else's, and only one that takes sockets it is given.

use super::error::ConfigError;
use super::settings::AppSettings;

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
    let about_requests = [("tls", app.tls.is_some()), ("routes", !app.routes.is_empty())];
    if let Some((key, _)) = about_requests.iter().find(|(_, is_set)| *is_set && app.listen.is_empty()) {
        let hint = "give it an address for requests too, or leave that away";
        return wrong(app, &format!("`{key}` is about requests, and all its addresses are UDP"), hint);
    }
    Ok(())
}

fn wrong(app: &AppSettings, reason: &str, hint: &str) -> Result<(), ConfigError> {
    let message = format!("app `{}`: {reason}", app.name);
    Err(ConfigError::Option { message, hint: Some(hint.to_owned()) })
}
