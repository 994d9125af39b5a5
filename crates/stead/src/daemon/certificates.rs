//! The certificates of an app: looked at once a second, and people are told what they should know of them.

use std::sync::Arc;
use std::time::SystemTime;

use stead_balancer::{Refreshed, Tls};

use super::acme::Acme;
use super::app::AppTask;
use crate::cli;
use crate::config::{AppSettings, Scheme, certificate_warning};

/// What its public addresses share; nothing for an app without TLS.
#[derive(Default)]
pub(super) struct Certificates {
    tls: Option<Arc<Tls>>,
    /// The warnings that people have read.
    told: Vec<String>,
    /// What the first look has found, for the next.
    news: Vec<String>,
    /// Those that are got.
    acme: Vec<Acme>,
}

impl Certificates {
    /// Of an app that begins or goes on, loaded: it may come to an address where clients are already. What is wrong with them is for
    /// people to be told with the next look; until it is repaired, clients wait.
    pub(super) fn of(settings: &AppSettings) -> Self {
        let plain = settings.listen.iter().any(|listen| settings.scheme_of(listen) == Scheme::Http);
        let all = settings.tls.iter().flat_map(|tls| &tls.certificates);
        let awaited = all.filter_map(|files| Some((files.acme.as_ref()?, files.certificate.clone())));
        let mut certificates = Self {
            tls: settings.tls.as_ref().map(|tls| Arc::new(Tls::new(tls.files()))),
            acme: awaited.map(|(acme, file)| Acme::start(acme, file, plain)).collect(),
            ..Self::default()
        };
        certificates.news = certificates.look(SystemTime::now());
        certificates
    }

    pub(super) fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// What is new, in sentences.
    fn look(&mut self, now: SystemTime) -> Vec<String> {
        let Some(tls) = &self.tls else { return Vec::new() };
        let had = !tls.validities().is_empty();
        let mut news = std::mem::take(&mut self.news);
        news.extend(match tls.refresh() {
            Refreshed::Loaded if had => Some("the changed certificates are in use".to_owned()),
            Refreshed::Loaded | Refreshed::Unchanged => None,
            Refreshed::Failed(error) => Some(refusal(&error, had)),
        });
        let warnings: Vec<String> =
            tls.validities().iter().filter_map(|validity| certificate_warning(validity, now)).collect();
        news.extend(self.acme.iter_mut().flat_map(Acme::news));
        news.extend(warnings.iter().filter(|warning| !self.told.contains(warning)).cloned());
        self.told = warnings;
        news
    }
}

fn refusal(error: &stead_balancer::TlsError, had: bool) -> String {
    let reason = cli::in_one_line(error);
    let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
    let rest = match had {
        true => "the certificates that were loaded before stay in use",
        false => "clients wait until they are good",
    };
    format!("{reason}{hint}; {rest}")
}

impl AppTask {
    pub(super) fn look_at_certificates(&mut self) {
        for news in self.ports.certificates.look(SystemTime::now()) {
            self.say(&news);
        }
    }
}
