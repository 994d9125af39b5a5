//! What a child is to be: program, streams, identity, limits, and how it may end.
//!
//! A `Command` only collects; `start.rs` carries it out.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::cancel::CancelToken;
use super::stdio::Stdio;
use super::{Child, Signal};
use crate::node::environment::scrub;
use crate::spawn::{Group, Identity, ResourceName, SpawnError, SpawnFailure, SpawnSpec};

/// What is collected of each stream if nothing else was asked for: 1 MiB, as in Node.js.
pub const MAX_BUFFER_DEFAULT: usize = 1024 * 1024;

/// How long a child that was asked to end may take before it is killed, if nothing else was asked for.
pub const KILL_GRACE_DEFAULT: Duration = Duration::from_secs(5);

/// A child to start.
///
/// Without further words the child has this process's environment, directory, user and limits, is in its process group
/// (so that Ctrl-C reaches both), has all signals at their defaults, and no descriptors but its streams. What the streams
/// are if nothing is said about them depends on the way it is started, and stands there.
///
/// ```
/// # use stead_process::child::Command;
/// let mut command = Command::new("printf");
/// command.args(["%s-%s", "a", "b"]).env("LANG", "C").current_dir("/");
/// assert_eq!(command.output_blocking()?.stdout, b"a-b");
/// # Ok::<(), stead_process::child::ExecError>(())
/// ```
pub struct Command {
    /// Without environment and descriptors, which are known only when it starts.
    pub(super) spec: SpawnSpec,
    pub(super) arg0: Option<OsString>,
    inherit_environment: bool,
    /// `None` removes.
    environment: BTreeMap<OsString, Option<OsString>>,
    /// By the number in the child.
    pub(super) streams: BTreeMap<i32, Stdio>,
    pub(super) input: Option<Vec<u8>>,
    pub(super) group: Group,
    pub(super) kill_with_parent: bool,
    pub(super) ending: Ending,
    pub(super) timeout: Option<Duration>,
    pub(super) cancel: Option<CancelToken>,
    pub(super) max_buffer: usize,
}

/// How a child is ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) signal: Signal,
    pub(super) grace: Option<Duration>,
    pub(super) whole_tree: bool,
    pub(super) on_drop: bool,
    pub(super) sweep_group: bool,
}

impl Command {
    /// A program and no arguments. A name without `/` is looked up in the `PATH` that the child gets.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            spec: SpawnSpec::new(program),
            arg0: None,
            inherit_environment: true,
            environment: BTreeMap::new(),
            streams: BTreeMap::new(),
            input: None,
            group: Group::Inherited,
            kill_with_parent: false,
            ending: Ending {
                signal: Signal::TERM,
                grace: Some(KILL_GRACE_DEFAULT),
                whole_tree: false,
                on_drop: false,
                sweep_group: false,
            },
            timeout: None,
            cancel: None,
            max_buffer: MAX_BUFFER_DEFAULT,
        }
    }

    /// A line for `/bin/sh`, which is ended with all that it starts ([`Self::whole_tree`]).
    ///
    /// Never put together such a line from what a stranger says: `;` and `$(..)` in it are obeyed. Give arguments to
    /// [`Self::new`] in that case, or to the line as `"$1"`: `Command::shell("cat \"$1\"").args(["sh", name])`.
    ///
    /// Another shell is a program as any other: `Command::new("bash").args(["-c", line])`.
    pub fn shell(line: impl Into<OsString>) -> Self {
        let mut command = Self::new("/bin/sh");
        command.arg("-c").arg(line).whole_tree(true);
        command
    }

    /// One more argument.
    pub fn arg(&mut self, argument: impl Into<OsString>) -> &mut Self {
        self.spec.arguments.push(argument.into());
        self
    }

    /// More arguments.
    pub fn args(&mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> &mut Self {
        self.spec.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// What the program sees as its own name, in the place of the program's.
    pub fn arg0(&mut self, name: impl Into<OsString>) -> &mut Self {
        self.arg0 = Some(name.into());
        self
    }

    /// The directory to run in. A program that is a relative path is looked for there.
    pub fn current_dir(&mut self, directory: impl Into<PathBuf>) -> &mut Self {
        self.spec.directory = Some(directory.into());
        self
    }

    /// One variable more, or another value.
    pub fn env(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> &mut Self {
        self.environment.insert(name.into(), Some(value.into()));
        self
    }

    /// More variables, or other values.
    pub fn envs<N, V>(&mut self, variables: impl IntoIterator<Item = (N, V)>) -> &mut Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        self.environment.extend(variables.into_iter().map(|(name, value)| (name.into(), Some(value.into()))));
        self
    }

    /// One variable less.
    pub fn env_remove(&mut self, name: impl Into<OsString>) -> &mut Self {
        self.environment.insert(name.into(), None);
        self
    }

    /// Nothing of this process's environment, and nothing of what was said before.
    pub fn env_clear(&mut self) -> &mut Self {
        self.inherit_environment = false;
        self.environment.clear();
        self
    }

    /// Standard input.
    pub fn stdin(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.descriptor(0, stdio)
    }

    /// Standard output.
    pub fn stdout(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.descriptor(1, stdio)
    }

    /// Standard error.
    pub fn stderr(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.descriptor(2, stdio)
    }

    /// Any descriptor, at the number (up to [`DESCRIPTOR_NUMBER_MAX`](crate::spawn::DESCRIPTOR_NUMBER_MAX)) at which the
    /// child expects it.
    pub fn descriptor(&mut self, number: i32, stdio: impl Into<Stdio>) -> &mut Self {
        self.streams.insert(number, stdio.into());
        self
    }

    /// What the child finds on its standard input, where it is run to its end ([`Self::output`] and its kin).
    pub fn input(&mut self, bytes: impl Into<Vec<u8>>) -> &mut Self {
        self.input = Some(bytes.into());
        self
    }

    /// The user to run as, by number. Only root may name another one. Supplementary groups are given up but for those
    /// named by [`Self::groups`].
    pub fn uid(&mut self, uid: u32) -> &mut Self {
        self.spec.identity.uid = Some(uid);
        self
    }

    /// The group to run as, by number.
    pub fn gid(&mut self, gid: u32) -> &mut Self {
        self.spec.identity.gid = Some(gid);
        self
    }

    /// Supplementary groups, by number.
    pub fn groups(&mut self, groups: impl IntoIterator<Item = u32>) -> &mut Self {
        self.spec.identity.groups = groups.into_iter().collect();
        self
    }

    /// Permissions that new files do not get, such as `0o027`.
    pub fn umask(&mut self, mask: u32) -> &mut Self {
        self.spec.identity.umask = Some(mask);
        self
    }

    /// A limit, soft and hard at once; `None` is unlimited.
    pub fn limit(&mut self, name: ResourceName, value: Option<u64>) -> &mut Self {
        self.spec.identity.limits.retain(|(known, _)| *known != name);
        self.spec.identity.limits.push((name, value));
        self
    }

    /// All of who the child is to the system at once.
    pub fn identity(&mut self, identity: Identity) -> &mut Self {
        self.spec.identity = identity;
        self
    }

    /// The directory of the control group that the child begins in, and that is killed as a whole with its tree.
    pub fn cgroup(&mut self, directory: impl Into<PathBuf>) -> &mut Self {
        self.spec.cgroup = Some(directory.into());
        self
    }

    /// Leads a process group of its own: Ctrl-C on the terminal does not reach it, and its tree can be found by the group
    /// too. Of this and [`Self::detached`] the last counts.
    pub fn own_group(&mut self, yes: bool) -> &mut Self {
        self.group = if yes { Group::Own } else { Group::Inherited };
        self
    }

    /// Leads a session of its own, without a terminal, as a program that outlives this one should. To let go of it, see
    /// [`Child::unref`]. Of this and [`Self::own_group`] the last counts.
    pub fn detached(&mut self, yes: bool) -> &mut Self {
        self.group = if yes { Group::Session } else { Group::Inherited };
        self
    }

    /// When the child ends, what is left of its process group is killed before anybody is told. For children with a group
    /// of their own ([`Self::own_group`], [`Self::detached`]).
    pub fn sweep_group(&mut self, yes: bool) -> &mut Self {
        self.ending.sweep_group = yes;
        self
    }

    /// The kernel kills the child when this process dies, however that happens.
    ///
    /// Linux ties this to the *thread* that starts a child, and threads come and go, those of async runtimes too. Such
    /// children are therefore started by a thread of their own that ends only with this process. It dies as well when
    /// this process executes another program. Programs that are set-user-id are not killed, nor are the child's own
    /// children.
    pub fn kill_with_parent(&mut self, yes: bool) -> &mut Self {
        self.kill_with_parent = yes;
        self
    }

    /// A [`Child`] that is dropped before it has ended is killed (SIGKILL). Without this it goes on, and is reaped in the
    /// background when it ends.
    pub fn kill_on_drop(&mut self, yes: bool) -> &mut Self {
        self.ending.on_drop = yes;
        self
    }

    /// A time-out, a cancellation or a drop ends not only the child, but also what it started; see
    /// [`Child::kill_tree`] for what that can reach. On for [`Self::shell`].
    pub fn whole_tree(&mut self, yes: bool) -> &mut Self {
        self.ending.whole_tree = yes;
        self
    }

    /// What a time-out or a cancellation sends; [`Signal::TERM`] if nothing is said.
    pub fn kill_signal(&mut self, signal: Signal) -> &mut Self {
        self.ending.signal = signal;
        self
    }

    /// How long after that SIGKILL follows; [`KILL_GRACE_DEFAULT`] if nothing is said, never if `None`.
    pub fn kill_grace(&mut self, grace: Option<Duration>) -> &mut Self {
        self.ending.grace = grace;
        self
    }

    /// Ends the child if it has not ended so long after its start.
    pub fn timeout(&mut self, timeout: Duration) -> &mut Self {
        self.timeout = Some(timeout);
        self
    }

    /// Ends the child when the token is cancelled. A child is not even started with one that is cancelled already
    /// (`ECANCELED`).
    pub fn cancel_token(&mut self, token: &CancelToken) -> &mut Self {
        self.cancel = Some(token.clone());
        self
    }

    /// How many bytes of standard output, and of standard error, are collected where the child is run to its end. One
    /// that writes more is ended. [`MAX_BUFFER_DEFAULT`] if nothing is said.
    pub fn max_buffer(&mut self, bytes: usize) -> &mut Self {
        self.max_buffer = bytes;
        self
    }

    /// Starts the child, and returns once the program runs. Streams that nothing was said about are inherited.
    ///
    /// Needs no runtime. It stops the calling thread for as long as the kernel takes to load the program, a fraction of
    /// a millisecond.
    ///
    /// # Errors
    /// [`SpawnError`]; nothing is left of the child then, and the streams it was given are still in this command.
    pub fn spawn(&mut self) -> Result<Child, SpawnError> {
        super::start::spawn(self)
    }

    /// What the program is called in messages.
    pub(super) fn name(&self) -> String {
        self.spec.program.to_string_lossy().into_owned()
    }

    /// An error of something that had to be done before the start.
    pub(super) fn failed(&self, error: &std::io::Error) -> SpawnError {
        SpawnFailure::preparing(error).into_error(self.name(), self.spec.context())
    }

    /// The whole environment of the child. What the program that started *us* said about its channel to us would only
    /// confuse a child.
    pub(super) fn resolved_environment(&self) -> Vec<(OsString, OsString)> {
        let mut variables = Vec::new();
        if self.inherit_environment {
            variables.extend(std::env::vars_os().filter(|(name, _)| !self.environment.contains_key(name)));
            scrub(&mut variables);
        }
        let said = self.environment.iter();
        variables.extend(said.filter_map(|(name, value)| Some((name.clone(), value.clone()?))));
        variables
    }
}

/// Program and arguments as they were given; not the environment, which may hold secrets.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [&self.spec.program].into_iter().chain(&self.spec.arguments).map(OsString::as_os_str);
        f.debug_tuple("Command").field(&words.collect::<Vec<&OsStr>>()).finish()
    }
}
