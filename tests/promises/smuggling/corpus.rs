//! The corpus: `corpus.toml`, read. What it means stands at its top.

use serde::Deserialize;

/// A request that must not get past the balancer, or must get past it whole.
#[derive(Debug)]
pub(super) struct Case {
    /// Its group and what is particular to it.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// The connection is over after it, so none follows.
    pub(super) alone: bool,
    pub(super) stead: Verdict,
    /// Why Stead does the opposite of both NGINX and HAProxy.
    pub(super) why: Option<String>,
}

/// What a server makes of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Serves,
    Refuses,
    Waits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    group: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    stead: Verdict,
    why: Option<String>,
    template: String,
    cases: Vec<String>,
    #[serde(default)]
    alone: bool,
}

/// All cases.
pub(super) fn cases() -> Vec<Case> {
    let file: File = toml::from_str(include_str!("corpus.toml")).expect("the corpus is well-formed");
    file.group.into_iter().flat_map(Group::cases).collect()
}

impl Group {
    fn cases(self) -> Vec<Case> {
        let case = |text: &String| Case {
            name: format!("{}: {text:?}", self.name),
            bytes: latin_1(&self.template.replace('@', text)),
            alone: self.alone,
            stead: self.stead,
            why: self.why.clone(),
        };
        self.cases.iter().map(case).collect()
    }
}

fn latin_1(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(character).expect("one byte for each character")).collect()
}
