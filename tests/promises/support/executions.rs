//! What workers wrote down about the requests they executed: `<method> <target> <identity> <pid>`, one line each.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The file that all workers of a test append to.
#[derive(Debug, Clone)]
pub(crate) struct Executions {
    path: PathBuf,
}

impl Executions {
    /// A file in this directory; `variable()` goes into the environment of the program.
    pub(crate) fn in_directory(directory: &Path) -> Executions {
        Executions { path: directory.join("executions.log") }
    }

    /// The environment variable that the fixtures obey.
    pub(crate) fn variable(&self) -> (&'static str, String) {
        ("EXECUTIONS_FILE", self.path.display().to_string())
    }

    /// Who executed which request: process numbers by identity, for one method.
    pub(crate) fn of(&self, method: &str) -> HashMap<String, Vec<u32>> {
        let mut executions: HashMap<String, Vec<u32>> = HashMap::new();
        for line in self.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [found, _, identity, pid] = words[..] else { panic!("a torn line: {line:?}") };
            if found == method {
                let pid = pid.parse().unwrap_or_else(|_| panic!("a torn line: {line:?}"));
                executions.entry(identity.to_owned()).or_default().push(pid);
            }
        }
        executions
    }

    /// Process numbers of all executions of this target.
    pub(crate) fn of_target(&self, target: &str) -> Vec<u32> {
        let executed = |line: &String| {
            let words: Vec<&str> = line.split(' ').collect();
            (words.get(1) == Some(&target)).then(|| words.last()?.parse().ok()).flatten()
        };
        self.lines().iter().filter_map(executed).collect()
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.path).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}
