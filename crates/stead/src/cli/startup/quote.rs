//! Words as shells and systemd read them.

use std::path::Path;

/// For a POSIX shell.
pub(super) fn shell(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// A whole line for a POSIX shell.
pub(super) fn shell_line(words: &[String]) -> String {
    words.iter().map(|word| shell(word)).collect::<Vec<_>>().join(" ")
}

/// `Environment=` of a unit: a value that is quoted, and in which `%` is no specifier.
pub(super) fn environment(name: &str, value: &str) -> String {
    format!("Environment=\"{name}={}\"", escape(value))
}

/// A path in `ExecStart=`: quoted where it must be; `%` is no specifier and `$` no variable.
pub(super) fn program(path: &Path) -> String {
    let path = escape(&path.to_string_lossy()).replace('$', "$$");
    if path.contains([' ', '"', '\'', '\\', ';']) { format!("\"{path}\"") } else { path }
}

/// A path in `RequiresMountsFor=`.
pub(super) fn path(path: &Path) -> String {
    let path = escape(&path.to_string_lossy());
    if path.contains([' ', '"', '\'', '\\']) { format!("\"{path}\"") } else { path }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str(r"\\"),
            '"' => escaped.push_str("\\\""),
            '%' => escaped.push_str("%%"),
            '\n' => escaped.push_str(r"\n"),
            character if character.is_control() => escaped.push_str(&format!("\\x{:02x}", character as u32)),
            character => escaped.push(character),
        }
    }
    escaped
}

/// Reads the name of a service; `.service` at its end is left out.
pub(super) fn parse_service_name(text: &str) -> Result<String, String> {
    let name = text.strip_suffix(".service").unwrap_or(text);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.@".contains(&byte);
    let fits = !name.is_empty() && name.len() <= 200 && !name.starts_with(['-', '.']) && !name.ends_with('@');
    match fits && name.bytes().all(allowed) {
        true => Ok(name.to_owned()),
        false => {
            Err("expected letters, digits and `:-_.@`, at most 200, beginning with a letter or digit"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        let check = |word: &str, expected: &str| assert_eq!(shell(word), expected);
        check("/usr/bin/stead", "/usr/bin/stead");
        check("PATH=/a:/b", "PATH=/a:/b");
        check("two words", "'two words'");
        check("it's", r"'it'\''s'");
        check("$(rm)", "'$(rm)'");
        check("", "''");
    }

    #[test]
    fn words_survive_systemd() {
        assert_eq!(environment("A", r#"50% "x" \ y"#), r#"Environment="A=50%% \"x\" \\ y""#);
        assert_eq!(
            environment("A", "a\nExecStart=/bin/evil\u{1}"),
            r#"Environment="A=a\nExecStart=/bin/evil\x01""#
        );
        let check = |path: &str, expected: &str| assert_eq!(program(Path::new(path)), expected);
        check("/usr/bin/stead", "/usr/bin/stead");
        check("/opt/my apps/100%/$x/stead", "\"/opt/my apps/100%%/$$x/stead\"");
    }

    #[test]
    fn service_names_are_names() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(parse_service_name(text).ok().as_deref(), expected, "{text}");
        };
        check("stead-shop", Some("stead-shop"));
        check("shop.service", Some("shop"));
        for wrong in ["", ".service", "../etc/passwd", "a b", "-x", "a/b", "x@", "ü"] {
            check(wrong, None);
        }
        check(&"x".repeat(201), None);
    }
}
