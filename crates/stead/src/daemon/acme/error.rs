//! What goes wrong with an ACME server, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use instant_acme::Problem;

use super::order::Challenge;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum AcmeError {
    /// It could not be asked, or said something that is not ACME.
    #[error("the server does not answer as it should")]
    Server(#[source] instant_acme::Error),
    /// It refused.
    #[error("the server says: {}", said(.0))]
    Refused(Problem),
    /// It came to see whether the name is served here, and found that it is not.
    #[error("it could not be shown by {challenge} that {name} is served here: {}", said(problem))]
    Challenge { name: String, challenge: Challenge, problem: Problem },
    /// It did not come, or did not decide, in time.
    #[error("the server did not decide in time")]
    Late,
    /// It wants another kind of proof.
    #[error("the server offers neither HTTP-01 nor TLS-ALPN-01 for {name}")]
    NoChallenge { name: String },
    /// A key or certificate could not be made.
    #[error("failed to make a key: {0}")]
    Key(String),
    /// What must be kept cannot be.
    #[error("failed to write `{}`", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// How soon it may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unreachable,
    Refused,
    Limited,
}

impl From<instant_acme::Error> for AcmeError {
    fn from(error: instant_acme::Error) -> Self {
        match error {
            instant_acme::Error::Api(problem) => AcmeError::Refused(problem),
            instant_acme::Error::Timeout(_) => AcmeError::Late,
            other => AcmeError::Server(other),
        }
    }
}

impl AcmeError {
    pub(super) fn file(path: &Path, source: io::Error) -> Self {
        AcmeError::File { path: path.to_owned(), source }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            AcmeError::Server(_) | AcmeError::File { .. } => Kind::Unreachable,
            AcmeError::Refused(problem) if is(problem, "rateLimited") => Kind::Limited,
            // A nonce that was used up, a fault of the server's own, an account that is made anew.
            AcmeError::Refused(problem)
                if ["badNonce", "serverInternal", "accountDoesNotExist"]
                    .iter()
                    .any(|name| is(problem, name)) =>
            {
                Kind::Unreachable
            }
            _ => Kind::Refused,
        }
    }

    /// The server lost the account.
    pub(super) fn is_unknown_account(&self) -> bool {
        matches!(self, AcmeError::Refused(problem) if is(problem, "accountDoesNotExist"))
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> Option<String> {
        Some(match self {
            AcmeError::Challenge { name, challenge, problem } => challenge_hint(name, *challenge, problem),
            AcmeError::Server(_) => {
                "is `directory` right, and can it be reached from here? A private server needs `directory_ca`"
                    .to_owned()
            }
            AcmeError::Refused(problem) => refusal_hint(problem)?.to_owned(),
            AcmeError::NoChallenge { .. } => {
                "wildcards and some servers want DNS-01: use a client that does it, \
                 and its files as `certificate` and `key`"
                    .to_owned()
            }
            AcmeError::Late => "it is tried again".to_owned(),
            AcmeError::Key(_) => return None,
            AcmeError::File { .. } => "Stead's home must be writable: see STEAD_HOME".to_owned(),
        })
    }
}

fn refusal_hint(problem: &Problem) -> Option<&'static str> {
    const HINTS: [(&str, &str); 6] = [
        (
            "rateLimited",
            "the server limits how many are issued: wait, and try things out with its staging directory",
        ),
        ("rejectedIdentifier", "the server issues nothing for such a name: is it public, and spelled right?"),
        ("invalidContact", "the server refuses `email`"),
        ("unsupportedContact", "the server refuses `email`"),
        (
            "externalAccountRequired",
            "this server wants accounts that are made on its website (EAB), which Stead does not do",
        ),
        ("caa", "a CAA record of the domain does not allow this authority"),
    ];
    HINTS.iter().find(|(name, _)| is(problem, name)).map(|(_, hint)| *hint)
}

fn challenge_hint(name: &str, challenge: Challenge, problem: &Problem) -> String {
    let port = challenge.port();
    if is(problem, "dns") {
        format!("DNS has no address for {name}: let an A or AAAA record point to this machine")
    } else if is(problem, "connection") || is(problem, "tls") {
        format!(
            "{name} must lead here from everywhere, on port {port}: do DNS, firewall and port forwarding agree with \
             where the app listens?"
        )
    } else if is(problem, "caa") {
        format!("a CAA record of {name} does not allow this authority")
    } else {
        format!(
            "something else, or nothing, answers for {name} on port {port}: where does DNS point, AAAA records too, and \
             does that port lead to where the app listens?"
        )
    }
}

/// The last part of its type: `urn:ietf:params:acme:error:dns`.
fn is(problem: &Problem, name: &str) -> bool {
    problem.r#type.as_deref().and_then(|kind| kind.rsplit(':').next()) == Some(name)
}

fn said(problem: &Problem) -> String {
    let whole = problem.detail.clone().or_else(|| problem.r#type.clone()).unwrap_or_else(|| "no".to_owned());
    let parts = problem.subproblems.iter().filter_map(|part| part.detail.clone());
    std::iter::once(whole).chain(parts).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &str) -> Problem {
        let json = serde_json::json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "d" });
        serde_json::from_value(json).expect("it is a problem")
    }

    #[test]
    fn what_is_said_by_the_server_decides_when_it_is_asked_again_and_what_to_do() {
        let refused = |kind: &str| AcmeError::Refused(problem(kind));
        let challenge = |kind: &str| AcmeError::Challenge {
            name: "a.test".to_owned(),
            challenge: Challenge::Http,
            problem: problem(kind),
        };
        let check = |error: AcmeError, kind: Kind, hint: &str| {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.hint().unwrap_or_default().contains(hint), "{error}: {:?}", error.hint());
        };
        check(refused("rateLimited"), Kind::Limited, "staging");
        check(refused("badNonce"), Kind::Unreachable, "");
        check(refused("rejectedIdentifier"), Kind::Refused, "public");
        check(refused("externalAccountRequired"), Kind::Refused, "EAB");
        check(challenge("dns"), Kind::Refused, "A or AAAA");
        check(challenge("connection"), Kind::Refused, "port 80");
        check(challenge("unauthorized"), Kind::Refused, "something else");
        check(AcmeError::Late, Kind::Refused, "again");
        assert!(refused("accountDoesNotExist").is_unknown_account());
    }
}
