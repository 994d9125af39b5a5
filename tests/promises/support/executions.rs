//! What workers wrote down about the requests they executed: `<method> <target> <identity> <pid> .`, one line each. One that was
//! killed while it wrote may have left half a line, which does not count: it had not executed anything yet.

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
        for [_, _, identity, pid] in self.lines().filter(|line| line[0] == method) {
            let pid = pid.parse().unwrap_or_else(|_| panic!("`{pid}` is no process number"));
            executions.entry(identity).or_default().push(pid);
        }
        executions
    }

    /// Process numbers of all executions of this target.
    pub(crate) fn of_target(&self, target: &str) -> Vec<u32> {
        let executed =
            |[_, found, _, pid]: [String; 4]| (found == target).then(|| pid.parse().ok()).flatten();
        self.lines().filter_map(executed).collect()
    }

    /// Method, target, identity and process number of those that are whole.
    fn lines(&self) -> impl Iterator<Item = [String; 4]> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let whole = |line: &str| {
            let words = line.strip_suffix(" .")?.split(' ').map(str::to_owned);
            words.collect::<Vec<_>>().try_into().ok()
        };
        text.lines().filter_map(whole).collect::<Vec<_>>().into_iter()
    }
}
