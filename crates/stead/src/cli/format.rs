//! Numbers, times and ends of processes, as people read them.

use std::time::Duration;
use stead_control::{ExitReport, Latency};
use stead_process::keeper::Signal;

/// How a process ended.
pub(super) fn exit(exit: &ExitReport) -> String {
    match (exit.expected, exit.out_of_memory, exit.code, exit.signal) {
        (true, ..) => "as asked".to_owned(),
        (_, true, ..) => "out of memory".to_owned(),
        (_, _, Some(code), _) => format!("code {code}"),
        (_, _, None, Some(signal)) => Signal::from_number(signal)
            .map_or_else(|| format!("signal {signal}"), |signal| signal.to_string()),
        (_, _, None, None) => "unknown".to_owned(),
    }
}

/// The same with a verb, after the word for a process.
pub(super) fn ended(exit: &ExitReport) -> String {
    match (exit.out_of_memory, exit.code, exit.signal) {
        (true, ..) => "was killed for lack of memory".to_owned(),
        (_, Some(code), _) => format!("exited with code {code}"),
        (_, None, Some(_)) => {
            format!("was killed by {}", self::exit(&ExitReport { expected: false, ..*exit }))
        }
        (_, None, None) => "ended in an unknown way".to_owned(),
    }
}

/// Median and 99th percentile.
pub(super) fn latency(latency: &Latency) -> String {
    match (latency.p50, latency.p99) {
        (Some(p50), Some(p99)) => format!("{} / {}", short(p50), short(p99)),
        _ => "-".to_owned(),
    }
}

/// Three digits are enough: `850 µs`, `1.23 ms`, `12.3 ms`, `1.50 s`.
pub(super) fn short(duration: Duration) -> String {
    let (value, unit) = match duration.as_secs_f64() {
        seconds if seconds < 0.001 => (seconds * 1e6, "µs"),
        seconds if seconds < 1.0 => (seconds * 1e3, "ms"),
        seconds => (seconds, "s"),
    };
    let digits = match value {
        _ if unit == "µs" => 0,
        value if value < 10.0 => 2,
        value if value < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

/// The two largest units: `45s`, `3m 12s`, `2h 5m`, `12d 3h`.
pub(super) fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Bytes of memory.
pub fn memory(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes < 1024.0 { format!("{mebibytes:.1} MiB") } else { format!("{:.2} GiB", mebibytes / 1024.0) }
}

/// Digits in groups of three.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Processor time in per cent of one core.
pub(super) fn cpu(cores: f32) -> String {
    format!("{:.0}%", cores * 100.0)
}

/// A rate: tenths matter only when it is small.
pub(super) fn rate(per_second: f64) -> String {
    let digits = if per_second > 0.0 && per_second < 10.0 { 1 } else { 0 };
    match per_second {
        large if large >= 1000.0 => grouped(large.round() as u64),
        small => format!("{small:.digits$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        let check = |actual: String, expected: &str| assert_eq!(actual, expected);
        check(grouped(0), "0");
        check(grouped(999), "999");
        check(grouped(1_234_567), "1,234,567");
        check(age(Duration::from_secs(59)), "59s");
        check(age(Duration::from_secs(3_725)), "1h 2m");
        check(age(Duration::from_secs(90_000)), "1d 1h");
        check(short(Duration::from_micros(850)), "850 µs");
        check(short(Duration::from_micros(1_234)), "1.23 ms");
        check(short(Duration::from_micros(12_345)), "12.3 ms");
        check(short(Duration::from_millis(1_500)), "1.50 s");
        check(memory(52_428_800), "50.0 MiB");
        check(memory(3 << 30), "3.00 GiB");
        check(cpu(0.254), "25%");
        check(cpu(11.5), "1150%");
        check(rate(0.0), "0");
        check(rate(0.26), "0.3");
        check(rate(512.4), "512");
        check(rate(12_345.6), "12,346");
    }

    #[test]
    fn exits_are_named() {
        let check = |exit: ExitReport, expected: &str| assert_eq!(super::exit(&exit), expected);
        let none = ExitReport { code: None, signal: None, out_of_memory: false, expected: false };
        check(ExitReport { code: Some(1), ..none }, "code 1");
        check(ExitReport { signal: Some(9), ..none }, "SIGKILL");
        check(ExitReport { signal: Some(9), out_of_memory: true, ..none }, "out of memory");
        check(ExitReport { signal: Some(35), ..none }, "signal 35");
        check(ExitReport { code: Some(0), expected: true, ..none }, "as asked");
        check(none, "unknown");
    }

    #[test]
    fn exits_are_told() {
        let check = |exit: ExitReport, expected: &str| assert_eq!(ended(&exit), expected);
        let none = ExitReport { code: None, signal: None, out_of_memory: false, expected: false };
        check(ExitReport { code: Some(1), ..none }, "exited with code 1");
        check(ExitReport { signal: Some(11), ..none }, "was killed by SIGSEGV");
        check(ExitReport { signal: Some(15), expected: true, ..none }, "was killed by SIGTERM");
        check(ExitReport { signal: Some(9), out_of_memory: true, ..none }, "was killed for lack of memory");
        check(none, "ended in an unknown way");
    }
}
