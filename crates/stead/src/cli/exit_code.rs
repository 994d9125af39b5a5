//! The exit codes of `stead`. They are part of the interface: scripts and service managers decide by them.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// It did what was asked.
    Ok = 0,
    /// It failed for a reason that has no code of its own.
    Failure = 1,
    /// The command line or the configuration is wrong; nothing was started.
    Usage = 2,
    /// A program could not be started, or never became ready.
    Program = 3,
    /// An address is in use or may not be bound.
    Address = 4,
    /// A reload failed; what ran before still runs.
    Reload = 5,
    /// Nothing is running, or no such app.
    NotRunning = 6,
}

impl ExitCode {
    /// All of them, by their numbers.
    pub const ALL: [ExitCode; 7] = [
        ExitCode::Ok,
        ExitCode::Failure,
        ExitCode::Usage,
        ExitCode::Program,
        ExitCode::Address,
        ExitCode::Reload,
        ExitCode::NotRunning,
    ];

    /// The code with this number, if it is one of these.
    pub fn of(number: u8) -> Option<ExitCode> {
        ExitCode::ALL.into_iter().find(|code| *code as u8 == number)
    }

    /// What it means, for manuals.
    pub fn meaning(self) -> &'static str {
        match self {
            ExitCode::Ok => "it did what was asked",
            ExitCode::Failure => "it failed for a reason that has no code of its own",
            ExitCode::Usage => "the command line or the configuration is wrong; nothing was started",
            ExitCode::Program => "a program could not be started, or never became ready",
            ExitCode::Address => "an address is in use or may not be bound",
            ExitCode::Reload => "a reload failed; what ran before still runs",
            ExitCode::NotRunning => "nothing is running, or no such app",
        }
    }
}

impl From<ExitCode> for u8 {
    fn from(code: ExitCode) -> u8 {
        code as u8
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> std::process::ExitCode {
        std::process::ExitCode::from(u8::from(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_says_the_same() {
        let document = include_str!("../../../../docs/errors-and-exit-codes.md");
        for code in ExitCode::ALL {
            let row = format!("| {} | {} |", u8::from(code), code.meaning());
            assert!(document.contains(&row), "{row}");
        }
    }
}
