//! Settings that are one of a few words.

use super::settings::{
    AccessForm, Balance, DependencyCondition, GroupStrategy, Mode, ReadyTimeout, ResourceName, RestartPolicy,
    Serialization, TraceContext, Upstream, UpstreamProtocol,
};
use super::suggest::nearest;
use std::str::FromStr;
use stead_balancer::ProxyVersion;

/// A setting that is one of a few words.
pub(super) trait Choice: Copy + 'static {
    /// Each word and what it means.
    const WORDS: &'static [(&'static str, Self)];
}

impl Choice for Mode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Mode::Auto), ("http", Mode::Http), ("direct", Mode::Direct), ("shared", Mode::Shared)];
}

impl Choice for Upstream {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Upstream::Auto),
        ("port", Upstream::Port),
        ("socket", Upstream::Socket),
        ("listen-fds", Upstream::ListenFds),
    ];
}

impl Choice for Balance {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("least-loaded", Balance::LeastLoaded),
        ("round-robin", Balance::RoundRobin),
        ("fastest", Balance::Fastest),
        ("random-of-two", Balance::RandomOfTwo),
    ];
}

impl Choice for UpstreamProtocol {
    const WORDS: &'static [(&'static str, Self)] =
        &[("http1", UpstreamProtocol::Http1), ("http2", UpstreamProtocol::Http2)];
}

impl Choice for ReadyTimeout {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", ReadyTimeout::Auto), ("fail", ReadyTimeout::Fail), ("assume", ReadyTimeout::Assume)];
}

impl Choice for Serialization {
    const WORDS: &'static [(&'static str, Self)] =
        &[("json", Serialization::Json), ("advanced", Serialization::Advanced)];
}

impl Choice for TraceContext {
    const WORDS: &'static [(&'static str, Self)] =
        &[("pass", TraceContext::Pass), ("start", TraceContext::Start)];
}

impl Choice for ProxyVersion {
    const WORDS: &'static [(&'static str, Self)] = &[("v1", ProxyVersion::V1), ("v2", ProxyVersion::V2)];
}

impl Choice for AccessForm {
    const WORDS: &'static [(&'static str, Self)] =
        &[("json", AccessForm::Json), ("common", AccessForm::Common)];
}

impl Choice for RestartPolicy {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("permanent", RestartPolicy::Permanent),
        ("transient", RestartPolicy::Transient),
        ("temporary", RestartPolicy::Temporary),
    ];
}

impl Choice for DependencyCondition {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("ready", DependencyCondition::Ready),
        ("healthy", DependencyCondition::Healthy),
        ("completed", DependencyCondition::Completed),
    ];
}

impl Choice for GroupStrategy {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("one-for-one", GroupStrategy::OneForOne),
        ("one-for-all", GroupStrategy::OneForAll),
        ("rest-for-one", GroupStrategy::RestForOne),
    ];
}

impl Choice for ResourceName {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("nofile", ResourceName::Nofile),
        ("nproc", ResourceName::Nproc),
        ("core", ResourceName::Core),
        ("as", ResourceName::As),
        ("stack", ResourceName::Stack),
        ("memlock", ResourceName::Memlock),
        ("fsize", ResourceName::Fsize),
        ("cpu", ResourceName::Cpu),
    ];
}

/// "text" or "json": whether log lines are JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogFormat {
    Text,
    Json,
}

impl Choice for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
}

/// A word that is none of the choices.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoChoice {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Reads one of the words.
pub(super) fn choose<T: Choice>(word: &str) -> Result<T, NoChoice> {
    if let Some((_, choice)) = T::WORDS.iter().find(|(name, _)| *name == word) {
        return Ok(*choice);
    }
    let nearest = nearest(word, T::WORDS.iter().map(|(name, _)| *name));
    Err(NoChoice {
        message: format!("`{word}` is not one of {}", list::<T>()),
        hint: nearest.map(|word| format!("did you mean `{word}`?")),
    })
}

fn list<T: Choice>() -> String {
    let words: Vec<String> = T::WORDS.iter().map(|(name, _)| format!("`{name}`")).collect();
    words.join(", ")
}

/// For `--mode`.
impl FromStr for Mode {
    type Err = String;

    fn from_str(word: &str) -> Result<Mode, String> {
        choose(word).map_err(|error| error.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_word_names_the_right_ones() {
        assert_eq!(choose("fastest"), Ok(Balance::Fastest));
        let error = choose::<Balance>("fastets").unwrap_err();
        assert_eq!(
            error.message,
            "`fastets` is not one of `least-loaded`, `round-robin`, `fastest`, `random-of-two`"
        );
        assert_eq!(error.hint.as_deref(), Some("did you mean `fastest`?"));
        assert_eq!(choose::<Mode>("tunnel").unwrap_err().hint, None);
    }
}
