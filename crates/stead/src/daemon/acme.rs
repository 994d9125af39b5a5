//! Gets certificates by ACME (RFC 8555) and keeps them good: a task for each.
//!
//! A task writes a file in Stead's home and no more; that it is used is the business of `certificates.rs`, as with any other file.
//! When it acts is decided in `schedule.rs`, `order.rs` speaks with the server, `store.rs` keeps what must outlive the daemon.
//! A daemon that dies in the middle leaves an order that its server forgets; the next one begins anew.

mod error;
mod order;
mod schedule;
mod store;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cli;
use crate::config;
use error::AcmeError;
use order::Challenge;
use schedule::Held;
use store::Store;

/// The server's advice is asked for, and the clock looked at, at least so often.
const LOOK_EVERY: Duration = Duration::from_secs(6 * 60 * 60);

/// A certificate that is being kept good. Dropped, it no longer is.
pub(super) struct Acme {
    news: mpsc::UnboundedReceiver<String>,
    _task: JoinSet<()>,
}

impl Acme {
    /// `plain`: there are addresses without TLS, so that the server may ask there.
    pub(super) fn start(settings: &config::Acme, file: PathBuf, plain: bool) -> Self {
        let (sender, news) = mpsc::unbounded_channel();
        let keeper = Keeper {
            store: Store { folder: settings.folder.clone(), file },
            settings: settings.clone(),
            challenges: if plain { &[Challenge::Http, Challenge::TlsAlpn] } else { &[Challenge::TlsAlpn] },
            news: sender,
            luck: luck(),
        };
        let mut task = JoinSet::new();
        task.spawn(keeper.keep());
        Self { news, _task: task }
    }

    /// What people should hear, in sentences.
    pub(super) fn news(&mut self) -> impl Iterator<Item = String> {
        std::iter::from_fn(|| self.news.try_recv().ok())
    }
}

struct Keeper {
    settings: config::Acme,
    store: Store,
    /// In turn, until one works.
    challenges: &'static [Challenge],
    news: mpsc::UnboundedSender<String>,
    /// From 0 to 1: not all in the world act at the same moment.
    luck: f64,
}

impl Keeper {
    async fn keep(self) {
        let mut failures = 0;
        if self.store.held().is_none() {
            self.say(format!(
                "getting a certificate for {} from {}; clients are refused until it is there",
                self.names(),
                self.settings.directory
            ));
        }
        loop {
            let rest = self.until_due().await;
            if rest > Duration::ZERO {
                tokio::time::sleep(rest.min(LOOK_EVERY)).await;
                continue;
            }
            let wait = match self.renew(failures).await {
                Ok(()) => {
                    failures = 0;
                    continue;
                }
                Err(error) => {
                    let wait = schedule::backoff(failures, error.kind(), luck());
                    self.complain(&error, wait);
                    wait
                }
            };
            failures += 1;
            tokio::time::sleep(wait).await;
        }
    }

    async fn until_due(&self) -> Duration {
        let Some(held) = self.store.held() else { return Duration::ZERO };
        let advice = order::advice(&self.settings, &self.store).await;
        let due = schedule::due(&held, advice, self.luck);
        due.duration_since(SystemTime::now()).unwrap_or_default()
    }

    async fn renew(&self, failures: u32) -> Result<(), AcmeError> {
        let before = self.store.held();
        let _locked = self.store.lock().await?;
        // Another app or instance that wants the same has had it made.
        if self.store.held() != before {
            return Ok(());
        }
        let challenge = self.challenges[failures as usize % self.challenges.len()];
        let pem = order::certificate(&self.settings, &self.store, challenge).await?;
        self.store.keep(&pem)?;
        let until = self.store.held().map(|held| format!(", good until {}", date(held.not_after)));
        self.say(format!("got a certificate for {}{}", self.names(), until.unwrap_or_default()));
        Ok(())
    }

    fn complain(&self, error: &AcmeError, wait: Duration) {
        let meanwhile = match self.store.held() {
            Some(Held { not_after, .. }) if not_after < SystemTime::now() => {
                format!("the one that is there expired on {}", date(not_after))
            }
            Some(held) => format!("the one that is there is good until {}", date(held.not_after)),
            None => "clients are refused until it is there".to_owned(),
        };
        let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        self.say(format!(
            "failed to get a certificate for {} from {}: {}{hint}; {meanwhile}; the next try is in {}",
            self.names(),
            self.settings.directory,
            cli::in_one_line(error),
            length(wait),
        ));
    }

    fn names(&self) -> String {
        self.settings.names.join(", ")
    }

    fn say(&self, text: String) {
        // Nobody hears it when the app ends, and nobody has to.
        let _unheard = self.news.send(text);
    }
}

fn luck() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

fn date(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map_or_else(|_| "a day far away".to_owned(), |time| time.strftime("%F %R UTC").to_string())
}

fn length(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 90 => format!("{seconds} s"),
        seconds if seconds < 90 * 60 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
