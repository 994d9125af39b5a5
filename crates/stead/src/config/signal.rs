//! Signals by their names or numbers.

use super::suggest::nearest;
use rustix::process::Signal;

/// What can be sent, without the real-time signals.
const SIGNALS: [(&str, Signal); 31] = [
    ("SIGHUP", Signal::HUP),
    ("SIGINT", Signal::INT),
    ("SIGQUIT", Signal::QUIT),
    ("SIGILL", Signal::ILL),
    ("SIGTRAP", Signal::TRAP),
    ("SIGABRT", Signal::ABORT),
    ("SIGBUS", Signal::BUS),
    ("SIGFPE", Signal::FPE),
    ("SIGKILL", Signal::KILL),
    ("SIGUSR1", Signal::USR1),
    ("SIGSEGV", Signal::SEGV),
    ("SIGUSR2", Signal::USR2),
    ("SIGPIPE", Signal::PIPE),
    ("SIGALRM", Signal::ALARM),
    ("SIGTERM", Signal::TERM),
    ("SIGSTKFLT", Signal::STKFLT),
    ("SIGCHLD", Signal::CHILD),
    ("SIGCONT", Signal::CONT),
    ("SIGSTOP", Signal::STOP),
    ("SIGTSTP", Signal::TSTP),
    ("SIGTTIN", Signal::TTIN),
    ("SIGTTOU", Signal::TTOU),
    ("SIGURG", Signal::URG),
    ("SIGXCPU", Signal::XCPU),
    ("SIGXFSZ", Signal::XFSZ),
    ("SIGVTALRM", Signal::VTALARM),
    ("SIGPROF", Signal::PROF),
    ("SIGWINCH", Signal::WINCH),
    ("SIGIO", Signal::IO),
    ("SIGPWR", Signal::POWER),
    ("SIGSYS", Signal::SYS),
];

/// Reads `SIGTERM`, `TERM`, `term` or `15`; gives the number.
///
/// # Errors
/// A message for people, with what was meant where it can be told.
pub fn parse_signal(text: &str) -> Result<i32, String> {
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    let number = text.parse::<i32>().ok();
    let found = SIGNALS.iter().find(|(known, signal)| *known == name || number == Some(signal.as_raw()));
    if let Some((_, signal)) = found {
        return Ok(signal.as_raw());
    }
    let nearest = nearest(&name, SIGNALS.iter().map(|(known, _)| *known));
    let meant = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    Err(format!("`{text}` is not a signal{meant}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        let check = |text: &str, expected: Result<i32, &str>| {
            assert_eq!(parse_signal(text), expected.map_err(str::to_owned), "{text}");
        };
        check("SIGTERM", Ok(15));
        check("term", Ok(15));
        check("usr2", Ok(12));
        check("9", Ok(9));
        check("SIGTREM", Err("`SIGTREM` is not a signal; did you mean `SIGTERM`?"));
        check("0", Err("`0` is not a signal"));
        check("", Err("`` is not a signal"));
    }
}
