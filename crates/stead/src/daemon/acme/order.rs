//! One certificate from an ACME server: an account, an order, the answers to its questions, the certificate.

use std::fmt;
use std::time::{Duration, SystemTime};

use instant_acme::{
    Account, AccountBuilder, AccountCredentials, AuthorizationHandle, AuthorizationStatus,
    CertificateIdentifier, ChallengeStatus, ChallengeType, Identifier, KeyAuthorization, NewAccount,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use stead_balancer::PostedChallenge;

use super::error::AcmeError;
use super::schedule::Advice;
use super::store::Store;
use crate::config::Acme;

/// Longest time in which a server looks whether a name is served here, or makes a certificate.
const DECISION: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));
/// Longest time of everything.
const LIMIT: Duration = Duration::from_secs(10 * 60);
const ADVICE_LIMIT: Duration = Duration::from_secs(60);

/// How it is shown that a name is served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Http,
    TlsAlpn,
}

impl Challenge {
    /// Where the server comes to.
    pub(super) fn port(self) -> u16 {
        match self {
            Challenge::Http => 80,
            Challenge::TlsAlpn => 443,
        }
    }

    fn kind(self) -> ChallengeType {
        match self {
            Challenge::Http => ChallengeType::Http01,
            Challenge::TlsAlpn => ChallengeType::TlsAlpn01,
        }
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Challenge::Http => "HTTP-01",
            Challenge::TlsAlpn => "TLS-ALPN-01",
        })
    }
}

/// A key and the certificate for it, with those that vouch for it, in PEM.
pub(super) async fn certificate(
    settings: &Acme,
    store: &Store,
    challenge: Challenge,
) -> Result<String, AcmeError> {
    let got = tokio::time::timeout(LIMIT, async {
        let account = account(settings, store).await?;
        let names: Vec<Identifier> = settings.names.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        prove(&mut order, challenge).await?;
        finish(&mut order, settings).await
    });
    let got = got.await.unwrap_or(Err(AcmeError::Late));
    if got.as_ref().is_err_and(AcmeError::is_unknown_account) {
        store.forget_account();
    }
    got
}

/// When the server wants what is there renewed; nothing if it does not say (RFC 9773).
pub(super) async fn advice(settings: &Acme, store: &Store) -> Option<Advice> {
    let certificate = CertificateDer::from_pem_file(&store.file).ok()?;
    let identifier = CertificateIdentifier::try_from(&certificate).ok()?;
    let asked = tokio::time::timeout(ADVICE_LIMIT, async {
        let credentials = serde_json::from_slice(&store.account()?).ok()?;
        let account = builder(settings).ok()?.from_credentials(credentials).await.ok()?;
        account.renewal_info(&identifier).await.ok()
    });
    let window = asked.await.ok()??.0.suggested_window;
    Some(Advice { from: time(window.start.unix_timestamp())?, until: time(window.end.unix_timestamp())? })
}

fn time(seconds: i64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

fn builder(settings: &Acme) -> Result<AccountBuilder, AcmeError> {
    Ok(match &settings.directory_ca {
        Some(file) => Account::builder_with_root(file)?,
        None => Account::builder()?,
    })
}

/// The one that was made before, or a new one. Using Stead for it is agreeing to the server's terms.
async fn account(settings: &Acme, store: &Store) -> Result<Account, AcmeError> {
    let kept = store.account().and_then(|json| serde_json::from_slice::<AccountCredentials>(&json).ok());
    if let Some(credentials) = kept {
        return Ok(builder(settings)?.from_credentials(credentials).await?);
    }
    let contact = settings.email.iter().map(|email| format!("mailto:{email}")).collect::<Vec<_>>();
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder(settings)?.create(&new, settings.directory.clone(), None).await?;
    let json = serde_json::to_vec(&credentials).map_err(|error| AcmeError::Key(error.to_string()))?;
    store.keep_account(&json)?;
    Ok(account)
}

/// Shows that all names are served here.
async fn prove(order: &mut Order, preferred: Challenge) -> Result<(), AcmeError> {
    let mut posted = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let authorization = authorization?;
        if authorization.status != AuthorizationStatus::Valid {
            posted.push(answer(authorization, preferred).await?);
        }
    }
    match order.poll_ready(&DECISION).await {
        Ok(OrderStatus::Ready) => Ok(()),
        decided => Err(match (failed_challenge(order).await, decided) {
            (Some(failed), _) => failed,
            (None, Err(error)) => error.into(),
            (None, Ok(_)) => AcmeError::Late,
        }),
    }
}

/// Posts the answer to one question, and says that it may be asked.
async fn answer(
    mut authorization: AuthorizationHandle<'_>,
    preferred: Challenge,
) -> Result<PostedChallenge, AcmeError> {
    let name = authorization.identifier().to_string();
    let offered =
        |kind: &Challenge| authorization.challenges.iter().any(|challenge| challenge.r#type == kind.kind());
    let chosen = [preferred, Challenge::TlsAlpn, Challenge::Http].into_iter().find(offered);
    let no_challenge = || AcmeError::NoChallenge { name: name.clone() };
    let chosen = chosen.ok_or_else(no_challenge)?;
    let mut challenge = authorization.challenge(chosen.kind()).ok_or_else(no_challenge)?;
    let key = challenge.key_authorization();
    let posted = match chosen {
        Challenge::Http => PostedChallenge::http(&challenge.token, key.as_str().to_owned()),
        Challenge::TlsAlpn => post_certificate(&name, &key)?,
    };
    challenge.set_ready().await?;
    Ok(posted)
}

/// The certificate that is the answer itself (RFC 8737 §3).
fn post_certificate(name: &str, authorization: &KeyAuthorization) -> Result<PostedChallenge, AcmeError> {
    let made = |error: rcgen::Error| AcmeError::Key(error.to_string());
    let mut params = CertificateParams::new([name.to_owned()]).map_err(made)?;
    let digest = authorization.digest();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest.as_ref())];
    let key = KeyPair::generate().map_err(made)?;
    let certificate = params.self_signed(&key).map_err(made)?;
    PostedChallenge::tls(name, certificate.der().to_vec(), key.serialize_der()).map_err(AcmeError::Key)
}

/// Which question was not answered as the server wanted.
async fn failed_challenge(order: &mut Order) -> Option<AcmeError> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        let failed = state.challenges.iter().find(|challenge| challenge.status == ChallengeStatus::Invalid);
        let problem = failed.and_then(|challenge| Some((challenge.r#type.clone(), challenge.error.clone()?)));
        if let Some((kind, problem)) = problem {
            let name = state.identifier().to_string();
            let challenge =
                if kind == ChallengeType::TlsAlpn01 { Challenge::TlsAlpn } else { Challenge::Http };
            return Some(AcmeError::Challenge { name, challenge, problem });
        }
    }
    None
}

async fn finish(order: &mut Order, settings: &Acme) -> Result<String, AcmeError> {
    let made = |error: rcgen::Error| AcmeError::Key(error.to_string());
    let mut params = CertificateParams::new(settings.names.clone()).map_err(made)?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate().map_err(made)?;
    let request = params.serialize_request(&key).map_err(made)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&DECISION).await?;
    Ok(format!("{}{chain}", key.serialize_pem()))
}
