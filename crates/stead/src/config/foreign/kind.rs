//! Which file is which, by its name alone: nothing is opened to find out.

use std::path::Path;

/// How a foreign file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Kind {
    /// A module of Node.js that exports the apps.
    Program,
    /// JSON, with comments and whatever else JavaScript allows.
    Json,
    /// YAML.
    Yaml,
    /// A package with a script `start`, or the key `pm2`.
    Package,
    /// One command per line.
    Procfile,
}

/// What a file of this name is, if it names apps: the names that PM2 knows, and those of others.
pub(in crate::config) fn kind_of(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_str()?;
    if name.starts_with("Procfile")
        && name.strip_prefix("Procfile").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    {
        return Some(Kind::Procfile);
    }
    match path.extension()?.to_str()? {
        "json" if name == "package.json" => Some(Kind::Package),
        "json" | "json5" => Some(Kind::Json),
        "yaml" | "yml" => Some(Kind::Yaml),
        "js" | "cjs" | "mjs" => path.file_stem()?.to_str()?.ends_with(".config").then_some(Kind::Program),
        _ => None,
    }
}

/// The same for a file that is said to name apps: then any JavaScript is one.
pub(in crate::config) fn kind_of_any(path: &Path) -> Option<Kind> {
    let is_program = path
        .extension()
        .is_some_and(|extension| ["js", "cjs", "mjs"].iter().any(|known| extension == *known));
    kind_of(path).or_else(|| is_program.then_some(Kind::Program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names() {
        let check = |name: &str, named: Option<Kind>, any: Option<Kind>| {
            assert_eq!((kind_of(Path::new(name)), kind_of_any(Path::new(name))), (named, any), "{name}");
        };
        check("ecosystem.config.js", Some(Kind::Program), Some(Kind::Program));
        check("deploy/apps.config.cjs", Some(Kind::Program), Some(Kind::Program));
        check("x.config.mjs", Some(Kind::Program), Some(Kind::Program));
        check("server.js", None, Some(Kind::Program));
        check("processes.json", Some(Kind::Json), Some(Kind::Json));
        check("ecosystem.json5", Some(Kind::Json), Some(Kind::Json));
        check("package.json", Some(Kind::Package), Some(Kind::Package));
        check("apps.yml", Some(Kind::Yaml), Some(Kind::Yaml));
        check("Procfile", Some(Kind::Procfile), Some(Kind::Procfile));
        check("Procfile.dev", Some(Kind::Procfile), Some(Kind::Procfile));
        check("Procfiles", None, None);
        check("stead.toml", None, None);
        check("config.js", None, Some(Kind::Program));
        check("", None, None);
    }
}
