//! Where the programs are, and which Node.js there is.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of all fixtures.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .canonicalize()
        .expect("tests/fixtures is there")
}

/// A program, by its path below `tests/fixtures`.
#[track_caller]
pub(crate) fn fixture(path: &str) -> String {
    let found = folder().join(path);
    assert!(
        found.exists(),
        "{} is missing: run ./check once, it installs what the fixtures need",
        found.display()
    );
    found.display().to_string()
}

/// A Node.js fixture, by its name.
#[track_caller]
pub(crate) fn node(name: &str) -> String {
    fixture(&format!("node/{name}"))
}

/// A Node.js that the tests run: its directory, to be put first in `PATH`, and its version.
#[derive(Debug, Clone)]
pub(crate) struct NodeVersion {
    pub(crate) directory: PathBuf,
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// The Node.js of this machine and those among the fixtures, oldest first.
pub(crate) fn node_versions() -> Vec<NodeVersion> {
    let modules = folder().join("node-versions/node_modules");
    let packages =
        std::fs::read_dir(modules).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let own = std::env::var_os("PATH").unwrap_or_default();
    let own = std::env::split_paths(&own).find(|directory| directory.join("node").exists());
    let mut versions: Vec<NodeVersion> = packages.chain(own).filter_map(version).collect();
    versions.sort_by_key(|node| (node.major, node.minor));
    versions.dedup_by_key(|node| node.major);
    assert!(!versions.is_empty(), "there is no Node.js");
    versions
}

/// `PATH` with this directory in front.
pub(crate) fn path_with(directory: &Path) -> String {
    format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default())
}

fn version(directory: PathBuf) -> Option<NodeVersion> {
    let output = Command::new(directory.join("node")).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().trim_start_matches('v').to_owned();
    let mut numbers = text.split('.').map_while(|number| number.parse().ok());
    Some(NodeVersion { directory, major: numbers.next()?, minor: numbers.next()? })
}
