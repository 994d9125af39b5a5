//! Everything a new process needs, laid out before it exists.
//!
//! In the new process nothing may be allocated, so all strings, pointers and lists are made here, and requests that make no
//! sense are refused here.

use std::ffi::{CString, OsString, c_char};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use rustix::process::{Resource, getrlimit};

use super::launch::Group;
use super::{DESCRIPTOR_NUMBER_MAX, Identity, Launch, SpawnFailure, SpawnSpec, Step};

/// Used when the environment has no `PATH`, as a shell would.
const PATH_DEFAULT: &[u8] = b"/usr/local/bin:/usr/bin:/bin";

const LISTEN_PID: &[u8] = b"LISTEN_PID=";

/// What `child.rs` carries out, in the order of its fields.
pub(super) struct Plan {
    /// Signals the program starts with ignored; all others get their default.
    pub(super) ignored_signals: &'static [i32],
    /// Which process group it is in.
    pub(super) group: Group,
    /// The parent whose death kills the child, if it does.
    pub(super) dies_with: Option<i32>,
    /// Descriptors and the numbers they go to.
    pub(super) moves: Vec<(RawFd, RawFd)>,
    /// Above every number in `moves`: safe from being overwritten.
    pub(super) free_from: RawFd,
    /// In this order, so that what the specification names wins over the number of descriptors.
    pub(super) limits: Vec<(libc::__rlimit_resource_t, libc::rlimit)>,
    /// `cgroup.procs` of the control group.
    pub(super) cgroup: Option<CString>,
    pub(super) umask: Option<u32>,
    pub(super) user: User,
    pub(super) no_new_privileges: bool,
    pub(super) directory: Option<CString>,
    pub(super) listen_pid: Option<ListenPid>,
    /// Paths to try in turn.
    pub(super) candidates: Vec<CString>,
    /// The candidates come from `PATH`, so one that is missing is no error yet.
    pub(super) searched: bool,
    pub(super) arguments: Strings,
    pub(super) environment: Strings,
}

/// User and groups to take on.
pub(super) struct User {
    /// All supplementary groups, if they change.
    pub(super) groups: Option<Vec<u32>>,
    pub(super) gid: Option<u32>,
    pub(super) uid: Option<u32>,
}

/// Room for `LISTEN_PID=<pid>`, which only the child can fill in.
pub(super) struct ListenPid {
    text: [u8; 32],
    /// Its place in the environment.
    pub(super) slot: usize,
}

/// A list of C strings that ends with a null pointer.
pub(super) struct Strings {
    pub(super) pointers: Vec<*const c_char>,
    // What the pointers point to: one piece of memory, because a start with many variables would spend most of its time in
    // asking for memory.
    _texts: Vec<u8>,
}

impl Plan {
    pub(super) fn new(launch: &Launch<'_>) -> Result<Self, SpawnFailure> {
        let spec = launch.spec;
        let moves = moves(launch).map_err(|errno| SpawnFailure { step: Step::Descriptors, errno })?;
        let free_from = moves.iter().map(|(_, target)| target + 1).max().unwrap_or(3);
        let candidates = candidates(spec).map_err(|error| SpawnFailure::preparing(&error))?;
        let texts = || -> io::Result<_> {
            let name = launch.argument_zero.unwrap_or(&spec.program);
            let arguments = std::iter::once(name).chain(spec.arguments.iter().map(OsString::as_os_str));
            let directory = spec.directory.as_ref().map(|path| c_string(path.as_os_str().as_bytes()));
            let cgroup = spec.cgroup.as_ref().map(|path| path.join("cgroup.procs"));
            let cgroup = cgroup.map(|path| c_string(path.as_os_str().as_bytes()));
            let paths = (directory.transpose()?, cgroup.transpose()?);
            Ok((Strings::new(arguments.map(|text| [text.as_bytes()]), 0)?, environment(spec)?, paths))
        };
        let (arguments, environment, (directory, cgroup)) =
            texts().map_err(|error| SpawnFailure::preparing(&error))?;
        let listen_pid = spec.listen_pid.then(|| ListenPid::new(environment.pointers.len() - 2));
        Ok(Self {
            ignored_signals: launch.kind.ignored_signals(),
            group: launch.kind.group(),
            dies_with: launch
                .kind
                .dies_with_parent()
                .then(|| rustix::process::getpid().as_raw_nonzero().get()),
            moves,
            free_from,
            limits: limits(spec, launch.open_files_default),
            cgroup,
            umask: spec.identity.umask,
            user: User::of(&spec.identity),
            no_new_privileges: spec.identity.no_new_privileges,
            directory,
            listen_pid,
            candidates,
            searched: !spec.program.as_bytes().contains(&b'/'),
            arguments,
            environment,
        })
    }

    /// Until it is the program, the new process may be in its parent's memory.
    ///
    /// Not if it runs as another user, who may signal and trace it: the parent would be held and seen by that. And not in
    /// a control group, because a group that runs out of memory is killed with everybody whose memory is in use there.
    pub(super) fn may_share_memory(&self) -> bool {
        let changes_user = self.user.groups.is_some() || self.user.gid.is_some() || self.user.uid.is_some();
        !changes_user && self.cgroup.is_none()
    }
}

impl User {
    /// Nothing, if it is what this process is already: then nobody needs to be root.
    fn of(identity: &Identity) -> Self {
        let same = identity.uid.is_none_or(|wanted| wanted == rustix::process::geteuid().as_raw())
            && identity.gid.is_none_or(|wanted| wanted == rustix::process::getegid().as_raw())
            && identity.groups.is_empty();
        if same {
            return Self { groups: None, gid: None, uid: None };
        }
        Self { groups: Some(identity.groups.clone()), gid: identity.gid, uid: identity.uid }
    }
}

impl ListenPid {
    fn new(slot: usize) -> Self {
        Self { text: [0; 32], slot }
    }

    /// Writes the pid without allocating, and returns the whole variable.
    pub(super) fn fill(&mut self, pid: i32) -> *const c_char {
        let mut rest = self.text.as_mut_slice();
        // 11 bytes of name and at most 10 digits leave the last of the 32 bytes zero, so neither write can fail.
        let _ = rest.write_all(LISTEN_PID).and_then(|()| write!(rest, "{pid}"));
        self.text.as_ptr().cast()
    }
}

impl Strings {
    /// Each text is given in parts. `spare` null pointers are kept free before the one that ends the list.
    fn new<'a, const PARTS: usize>(
        all: impl Iterator<Item = [&'a [u8]; PARTS]>,
        spare: usize,
    ) -> io::Result<Self> {
        let (mut texts, mut starts) = (Vec::new(), Vec::new());
        for parts in all {
            starts.push(texts.len());
            parts.iter().for_each(|part| texts.extend_from_slice(part));
            texts.push(0);
        }
        // One in the middle of a text would cut it off.
        if memchr::memchr_iter(0, &texts).count() != starts.len() {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let ends = std::iter::repeat_n(ptr::null(), spare + 1);
        let pointers = starts.iter().map(|&start| texts[start..].as_ptr().cast()).chain(ends).collect();
        Ok(Self { pointers, _texts: texts })
    }
}

fn c_string(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

fn moves(launch: &Launch<'_>) -> Result<Vec<(RawFd, RawFd)>, i32> {
    let targets = &launch.spec.descriptors;
    if targets.len() != launch.descriptors.len() {
        return Err(libc::EINVAL);
    }
    let mut moves = Vec::with_capacity(targets.len() + 3);
    for (descriptor, &target) in launch.descriptors.iter().zip(targets) {
        let taken = moves.iter().any(|&(_, other)| other == target);
        if taken || !(0..=DESCRIPTOR_NUMBER_MAX).contains(&target) {
            return Err(libc::EINVAL);
        }
        moves.push((descriptor.as_raw_fd(), target));
    }
    for standard in 0..=2 {
        if !targets.contains(&standard) {
            moves.push((launch.null.as_raw_fd(), standard));
        }
    }
    Ok(moves)
}

/// The files to try: one path, or the name in each directory of the child's own `PATH`.
fn candidates(spec: &SpawnSpec) -> io::Result<Vec<CString>> {
    let program = spec.program.as_bytes();
    if program.is_empty() {
        return Ok(Vec::new());
    }
    if program.contains(&b'/') {
        return Ok(vec![c_string(program)?]);
    }
    let path = spec.environment.iter().find(|(key, _)| key == "PATH");
    let path = path.map_or(PATH_DEFAULT, |(_, value)| value.as_bytes());
    let in_directory = |directory: &[u8]| {
        // An empty element is the working directory, by POSIX.
        let directory = if directory.is_empty() { b"." } else { directory };
        c_string(&[directory, b"/", program].concat())
    };
    path.split(|&byte| byte == b':').map(in_directory).collect()
}

fn environment(spec: &SpawnSpec) -> io::Result<Strings> {
    let kept = spec.environment.iter().filter(|(key, _)| !(spec.listen_pid && key == "LISTEN_PID"));
    let variables = kept.map(|(key, value)| [key.as_bytes(), b"=", value.as_bytes()]);
    Strings::new(variables, usize::from(spec.listen_pid))
}

fn limits(
    spec: &SpawnSpec,
    open_files_default: Option<u64>,
) -> Vec<(libc::__rlimit_resource_t, libc::rlimit)> {
    let open_files = spec.open_files_max.or(open_files_default);
    let open_files = open_files.map(|wanted| {
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(libc::RLIM_INFINITY);
        libc::rlimit { rlim_cur: wanted.min(hard), rlim_max: hard }
    });
    let named = spec.identity.limits.iter().map(|&(name, value)| {
        let value = value.unwrap_or(libc::RLIM_INFINITY);
        (name.number(), libc::rlimit { rlim_cur: value, rlim_max: value })
    });
    open_files.map(|limit| (libc::RLIMIT_NOFILE, limit)).into_iter().chain(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_looked_up_in_the_childs_own_path() {
        let check = |program: &str, path: Option<&str>, expected: &[&str]| {
            let mut spec = SpawnSpec::new(program);
            spec.environment.extend(path.map(|path| ("PATH".into(), path.into())));
            let found = candidates(&spec).unwrap();
            let found: Vec<_> = found.iter().map(|path| path.to_str().unwrap()).collect();
            assert_eq!(found, expected, "{program} in {path:?}");
        };
        check("node", Some("/a:/b"), &["/a/node", "/b/node"]);
        check("node", Some("/a::b"), &["/a/node", "./node", "b/node"]);
        check("node", None, &["/usr/local/bin/node", "/usr/bin/node", "/bin/node"]);
        check("./node", Some("/a"), &["./node"]);
        check("bin/node", Some("/a"), &["bin/node"]);
        check("", Some("/a"), &[]);
    }

    #[test]
    fn texts_stand_behind_each_other_and_none_is_cut_off() {
        let check = |all: &[[&str; 2]], expected: Option<&[&str]>| {
            let parts = all.iter().map(|parts| parts.map(str::as_bytes));
            let strings = Strings::new(parts, 1).ok();
            let texts = strings.as_ref().map(|strings| {
                let texts = std::str::from_utf8(&strings._texts).unwrap();
                let texts: Vec<&str> = texts.split_terminator('\0').collect();
                assert_eq!(strings.pointers.len(), texts.len() + 2);
                texts
            });
            assert_eq!(texts.as_deref(), expected);
        };
        check(&[], Some(&[]));
        check(&[["a", "b"], ["", ""], ["c", ""]], Some(&["ab", "", "c"]));
        check(&[["a", "b"], ["c\0d", ""]], None);
    }

    #[test]
    fn listen_pid_is_a_whole_variable() {
        for pid in [1, i32::MAX] {
            let mut variable = ListenPid::new(0);
            variable.fill(pid);
            let text = std::ffi::CStr::from_bytes_until_nul(&variable.text).unwrap();
            assert_eq!(text.to_str().unwrap(), format!("LISTEN_PID={pid}"));
        }
    }
}
