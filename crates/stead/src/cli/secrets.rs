//! Which variables of an environment nobody should read over a shoulder. Pure.

/// What stands in the place of a secret.
pub(super) const MASK: &str = "********";

/// Parts of names that say: secret. A name is cut at `_`, `-` and `.`, so that `MONKEY` is none for its `KEY`.
const SECRET_WORDS: [&str; 18] = [
    "apikey",
    "auth",
    "cert",
    "cookie",
    "credential",
    "credentials",
    "dsn",
    "key",
    "keys",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "private",
    "pwd",
    "salt",
    "secret",
    "token",
];

/// Names that look like secrets and are none.
const HARMLESS: [&str; 3] = ["PWD", "OLDPWD", "SSH_AUTH_SOCK"];

/// The value as it may be shown: a secret as stars, a URL without its password.
pub(super) fn shown(name: &str, value: &str) -> String {
    if !value.is_empty() && is_secret(name) {
        return MASK.to_owned();
    }
    without_password(value).unwrap_or_else(|| value.to_owned())
}

fn is_secret(name: &str) -> bool {
    let words = name.split(['_', '-', '.']).map(str::to_ascii_lowercase);
    let ends = |word: &str| ["password", "secret", "token", "apikey"].iter().any(|end| word.ends_with(end));
    !HARMLESS.contains(&name)
        && words.into_iter().any(|word| ends(&word) || SECRET_WORDS.contains(&word.as_str()))
}

/// `postgres://me:hunter2@host/db`, and the like.
fn without_password(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (user, password) = rest[..end].rsplit_once('@')?.0.split_once(':')?;
    let after = &rest[user.len() + 1 + password.len()..];
    (!password.is_empty()).then(|| format!("{scheme}://{user}:{MASK}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_nothing_else() {
        let check =
            |name: &str, value: &str, expected: &str| assert_eq!(shown(name, value), expected, "{name}");
        check("DATABASE_PASSWORD", "hunter2", MASK);
        check("PGPASSWORD", "hunter2", MASK);
        check("AWS_SECRET_ACCESS_KEY", "x", MASK);
        check("GITHUB_TOKEN", "x", MASK);
        check("githubToken", "x", MASK);
        check("stripe.api-key", "x", MASK);
        check("API_KEY", "", "");
        check("MONKEY", "bars", "bars");
        check("PWD", "/srv", "/srv");
        check("SSH_AUTH_SOCK", "/tmp/a", "/tmp/a");
        check("PORT", "8080", "8080");
        check("DATABASE_URL", "postgres://me:hunter2@db:5432/shop", "postgres://me:********@db:5432/shop");
        check("DATABASE_URL", "postgres://me:hun@ter2@db/shop", "postgres://me:********@db/shop");
        check("DATABASE_URL", "postgres://me@db/shop", "postgres://me@db/shop");
        check("REDIS_URL", "redis://:hunter2@cache", "redis://:********@cache");
        check("HOME_PAGE", "https://a.example/x:y@z", "https://a.example/x:y@z");
    }
}
