//! What was found, as text and as JSON.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Will hurt one day.
    Warning,
    /// Does not work.
    Failure,
}

/// What one look gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at; stable.
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    /// What was found, without a full stop.
    pub(super) text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

/// Everything that was found.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Findings {
    findings: Vec<Finding>,
}

impl Finding {
    pub(super) fn new(check: &'static str, verdict: Verdict, text: impl Into<String>) -> Finding {
        Finding { check, verdict, text: text.into(), advice: None }
    }

    #[must_use]
    pub(super) fn advice(mut self, advice: impl Into<String>) -> Finding {
        self.advice = Some(advice.into());
        self
    }
}

impl Findings {
    pub(super) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    /// How many there are of this kind.
    pub(super) fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }

    /// For people: a line each, what to do below it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for Finding { check, verdict, text: found, advice } in &self.findings {
            let verdict = match verdict {
                Verdict::Ok => "ok",
                Verdict::Note => "note",
                Verdict::Warning => "WARNING",
                Verdict::Failure => "FAILURE",
            };
            text.push_str(&format!("{verdict:<8} {check:<11} {found}\n"));
            if let Some(advice) = advice {
                text.push_str(&format!("{:21}-> {advice}\n", ""));
            }
        }
        let counts = [(Verdict::Failure, "failure"), (Verdict::Warning, "warning")];
        let counted = counts.map(|(verdict, name)| match self.count(verdict) {
            1 => format!("1 {name}"),
            count => format!("{count} {name}s"),
        });
        text.push_str(&format!("\n{}\n", counted.join(", ")));
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> String {
        let json = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "failures": self.count(Verdict::Failure),
            "warnings": self.count(Verdict::Warning),
            "findings": self.findings,
        });
        format!("{json:#}\n")
    }
}
