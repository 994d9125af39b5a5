//! Which apps can share an address: those that requests can be told apart for.
//!
//! The rule alone: the configuration is held to it before anything starts, the daemon when an app comes to an address that
//! others have.

use super::address::{Listen, ListenAddress, Scheme};
use super::error::ConfigError;
use super::settings::AppSettings;

/// An app at an address.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Which app.
    pub app: &'a AppSettings,
    /// How its clients speak there.
    pub scheme: Scheme,
    /// It takes whole connections.
    pub whole: bool,
}

/// Why two apps cannot share an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Neither says which requests are for it.
    #[error(
        "apps `{one}` and `{other}` both listen on {address}, and neither says which requests are for it"
    )]
    Rest {
        /// The one that was there first.
        one: String,
        /// The other.
        other: String,
        /// As people write it.
        address: String,
    },
    /// Both want the same requests.
    #[error("apps `{one}` and `{other}` both have the route `{route}` on {address}")]
    Route {
        /// The one that was there first.
        one: String,
        /// The other.
        other: String,
        /// As people write it.
        address: String,
        /// What both want.
        route: String,
    },
    /// One takes whole connections.
    #[error("app `{one}` takes whole connections on {address}, so that `{other}` cannot share it")]
    Whole {
        /// The one that takes whole connections.
        one: String,
        /// The other.
        other: String,
        /// As people write it.
        address: String,
    },
    /// One ends TLS there and the other does not.
    #[error("app `{one}` speaks https on {address}, and app `{other}` http")]
    Scheme {
        /// The one with https.
        one: String,
        /// The other.
        other: String,
        /// As people write it.
        address: String,
    },
    /// They ask clients for different certificates, which is done before it is known whom a request is for.
    #[error("apps `{one}` and `{other}` ask clients on {address} for different certificates")]
    ClientCa {
        /// The one that was there first.
        one: String,
        /// The other.
        other: String,
        /// As people write it.
        address: String,
    },
    /// They mean the same port and do not write the same address.
    #[error("app `{one}` listens on {address}, which is the same port at another address")]
    Overlap {
        /// The one that was there first.
        one: String,
        /// As people write it.
        address: String,
    },
}

impl Conflict {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Conflict::Rest { other, .. } => format!(
                "give one of them routes, as in `[app.{other}]` routes = [\"{other}.example.org\"]: the other gets the rest; or \
                 another address"
            ),
            Conflict::Route { .. } => "a route belongs to one app: take it away from one of them".to_owned(),
            Conflict::Whole { .. } => {
                "requests are told apart only in mode \"http\"; give one of them another address".to_owned()
            }
            Conflict::Scheme { address, .. } => {
                format!(
                    "write `https://{address}` in both, and `tls` for both, or another address for one of them"
                )
            }
            Conflict::ClientCa { .. } => {
                "write the same `tls_client_ca` for both, or another address for one of them".to_owned()
            }
            Conflict::Overlap { address, .. } => {
                format!("write `{address}` in both to share it, or another port")
            }
        }
    }
}

/// Why the second cannot come to an address where the first is.
pub fn conflict(first: Claim<'_>, second: Claim<'_>, address: &str) -> Option<Conflict> {
    let name = |claim: Claim<'_>| claim.app.name.clone();
    let (one, other, address) = (name(first), name(second), address.to_owned());
    if first.whole {
        return Some(Conflict::Whole { one, other, address });
    }
    if second.whole {
        return Some(Conflict::Whole { one: other, other: one, address });
    }
    match (first.scheme, second.scheme) {
        (Scheme::Https, Scheme::Http) => return Some(Conflict::Scheme { one, other, address }),
        (Scheme::Http, Scheme::Https) => return Some(Conflict::Scheme { one: other, other: one, address }),
        (Scheme::Https, Scheme::Https) | (Scheme::Http, Scheme::Http) => (),
    }
    let client_ca = |claim: Claim<'_>| claim.app.tls.as_ref().and_then(|tls| tls.client_ca.clone());
    if first.scheme == Scheme::Https && client_ca(first) != client_ca(second) {
        return Some(Conflict::ClientCa { one, other, address });
    }
    if first.app.takes_rest() && second.app.takes_rest() {
        return Some(Conflict::Rest { one, other, address });
    }
    let shared = first
        .app
        .routes
        .iter()
        .find(|route| second.app.routes.iter().any(|other| other.pattern == route.pattern))?;
    Some(Conflict::Route { one, other, address, route: shared.pattern.to_string() })
}

/// Whether all that these apps say of their addresses goes together. Apps that are not started by themselves may stand in for
/// others, so they are looked at when they are started.
pub(super) fn check(apps: &[AppSettings]) -> Result<(), ConfigError> {
    let explain = |conflict: Conflict| ConfigError::Option {
        hint: Some(conflict.hint()),
        message: conflict.to_string(),
    };
    for (index, second) in apps.iter().enumerate() {
        check_routes(second)?;
        let earlier = apps[..index].iter().filter(|first| first.autostart && second.autostart);
        for first in earlier {
            let found = first.listen.iter().find_map(|one| {
                let other = second.listen.iter().find(|other| is_same(first, one, second, other))?;
                conflict(claim(first, one), claim(second, other), &one.address.to_string())
            });
            found.map_or(Ok(()), |conflict| Err(explain(conflict)))?;
        }
    }
    Ok(())
}

fn claim<'a>(app: &'a AppSettings, listen: &Listen) -> Claim<'a> {
    let whole = app.mode_of(listen.address.port()).is_whole();
    Claim { app, scheme: app.scheme_of(listen), whole }
}

/// Whether these are the same address. The kernel gives everybody a port of their own who asks for port 0.
fn is_same(first: &AppSettings, one: &Listen, second: &AppSettings, other: &Listen) -> bool {
    match (&one.address, &other.address) {
        (ListenAddress::Unix(one), ListenAddress::Unix(other)) => {
            first.directory.join(one) == second.directory.join(other)
        }
        (one, other) => one == other && one.port() != Some(0),
    }
}

/// What is wrong with the routes of one app.
fn check_routes(app: &AppSettings) -> Result<(), ConfigError> {
    let wrong = |reason: String, hint: &str| {
        let message = format!("app `{}`: {reason}", app.name);
        Err(ConfigError::Option { message, hint: Some(hint.to_owned()) })
    };
    for (index, route) in app.routes.iter().enumerate() {
        if app.routes[..index].iter().any(|earlier| earlier.pattern == route.pattern) {
            return wrong(
                format!("the route `{}` is there twice", route.pattern),
                "put what both say into one",
            );
        }
    }
    if !app.routes.is_empty() && app.listen_mode().is_whole() {
        let hint = "requests are told apart only in mode \"http\": leave `routes` away, or the mode";
        return wrong("it takes whole connections, and `routes` is about requests".to_owned(), hint);
    }
    Ok(())
}
