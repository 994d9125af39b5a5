//! A terminal that somebody sits at: tmux with a shell in it, whose screen can be read and resized.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::waiting::pause_between;

/// For something to appear on the screen, on a loaded machine.
const SCREEN_LIMIT: Duration = Duration::from_secs(30);
/// tmux is a process each time: not more often than this.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What the shell shows when it waits for a command.
const PROMPT: &str = "shell-is-ready>";

/// A terminal; gone when it is dropped.
pub(crate) struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// A shell in a terminal of this size, in this directory, with the binary under test as `stead`.
    #[track_caller]
    pub(crate) fn open(directory: &Path, (columns, rows): (u16, u16)) -> Terminal {
        let terminal = Terminal { socket: directory.join("tmux.socket") };
        let mut command = terminal.tmux(&["-f", "/dev/null", "new-session", "-d"]);
        command.args(["-x", &columns.to_string(), "-y", &rows.to_string(), "/bin/sh"]);
        command.current_dir(directory).env_remove("TMUX").env_remove("ENV").env_remove("NO_COLOR");
        command.env("LC_ALL", "C.UTF-8").env("STEAD_RUNTIME_DIR", directory.join("run"));
        command.env("stead", env!("CARGO_BIN_EXE_stead"));
        let status = command.status().expect("tmux can be run (apt-get install tmux)");
        assert!(status.success(), "tmux starts: {status}");
        // A shell takes no prompt from its environment. Typed in two parts, so that the echo is not taken for it.
        terminal.type_line("PS1=shell-is-''ready'>'");
        terminal.wait("there is a prompt", |screen| screen.contains(PROMPT));
        terminal
    }

    /// Types a line into the shell.
    pub(crate) fn type_line(&self, line: &str) {
        self.run(&["send-keys", "-l", line]);
        self.keys(&["Enter"]);
    }

    /// Presses keys, in tmux's names for them.
    pub(crate) fn keys(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    /// Another size.
    pub(crate) fn resize(&self, (columns, rows): (u16, u16)) {
        self.run(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// The same with its escape sequences for colours and the like.
    pub(crate) fn screen_with_looks(&self) -> String {
        self.run(&["capture-pane", "-p", "-e"])
    }

    /// A value of tmux's: `alternate_on`, `cursor_flag`.
    pub(crate) fn value(&self, name: &str) -> String {
        self.run(&["display-message", "-p", &format!("#{{{name}}}")]).trim().to_owned()
    }

    /// Looks at the screen until it is true; gives that screen.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, is_true: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + SCREEN_LIMIT;
        loop {
            let screen = self.screen();
            if is_true(&screen) {
                return screen;
            }
            assert!(
                Instant::now() < deadline,
                "within {SCREEN_LIMIT:?} it did not happen that {what}; on the screen:\n{screen}"
            );
            pause_between(LOOK_EVERY);
        }
    }

    /// The shell has the terminal again, as it was: echo, whole lines, the cursor, the screen from before.
    #[track_caller]
    pub(crate) fn assert_given_back(&self) {
        self.wait("the shell is back", |screen| screen.trim_end().ends_with(PROMPT));
        assert_eq!((self.value("alternate_on").as_str(), self.value("cursor_flag").as_str()), ("0", "1"));
        // What is typed is seen twice only if the terminal echoes it, and acted on only if lines are lines again.
        self.type_line("clear; stty -a | tr ' ' '\\n' | grep -x -e echo -e icanon -e isig; echo do''ne");
        let screen = self.wait("the shell obeys", |screen| screen.contains("\ndone\n"));
        for mode in ["echo", "icanon", "isig"] {
            assert!(screen.lines().any(|line| line == mode), "{mode}: {screen}");
        }
        self.type_line("clear");
        self.wait("the screen is clear", |screen| screen.trim() == PROMPT);
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.tmux(arguments).output().expect("tmux can be run");
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn tmux(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-u").arg("-S").arg(&self.socket).args(arguments);
        command
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]).output();
    }
}
