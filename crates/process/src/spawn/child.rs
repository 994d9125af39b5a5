//! What the new process does before it becomes the program.
//!
//! It runs in its parent's memory, on a stack of its own, while the thread that made it stands still; other threads go on
//! and may be allocating. So nothing here allocates, locks or panics; everything was laid out in the [`Plan`]. A step that
//! fails is written beside the stack and the process ends.
//!
//! Memory that is not copied is what makes the start fast, and as fast for a large parent as for a small one. Where it
//! would be dangerous ([`Plan::may_share_memory`]) the process has a copy, and all else is the same.

use std::ffi::{CStr, c_void};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::{io, ptr};

use rustix::process::Pid;

use super::launch::Group;
use super::plan::Plan;
use super::stack::{Report, Stack};
use super::{DESCRIPTOR_NUMBER_MAX, SpawnFailure, Step};

/// The kernel's structure begins with the handler and has at most this size; all else is zero here.
const KERNEL_SIGACTION_WORDS: usize = 8;
const SIGNAL_SET_BYTES: usize = 8;
const ALL_SIGNALS: u64 = u64::MAX;
/// Those that C libraries use between threads (32 to 34): `setuid`, for one, waits until every thread has handled one.
const LIBRARY_SIGNALS: u64 = 0b111 << 31;

/// Highest signal number on Linux.
const SIGNAL_MAX: i32 = 64;

/// Never seen by anybody but the kernel: the parent reads the report and reaps.
const EXIT_CODE: i32 = 127;

/// What the new process is given.
struct Task<'a> {
    plan: &'a mut Plan,
    report: Report,
}

/// Creates the process and waits until it has become the program, or has failed and is dead.
pub(super) fn start(plan: &mut Plan) -> io::Result<(Pid, OwnedFd, Option<SpawnFailure>)> {
    let stack = Stack::take()?;
    let memory = if plan.may_share_memory() { libc::CLONE_VM } else { 0 };
    let flags = memory | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut task = Task { plan, report: stack.report() };
    let mut pidfd: RawFd = -1;
    // A signal that reached the child before its handlers are reset would run the parent's handlers there, in the
    // parent's memory.
    let mask = set_signal_mask(ALL_SIGNALS);
    let task_at = ptr::from_mut(&mut task).cast();
    // SAFETY: the child only runs `become_program`, which keeps to system calls and does not return. The stack is used by
    // nobody else, and all that the task points to outlives the child's use of it, because CLONE_VFORK holds this thread
    // until the child has left this memory.
    let pid = unsafe { libc::clone(become_program, stack.top(), flags, task_at, &raw mut pidfd) };
    let error = io::Error::last_os_error();
    set_signal_mask(mask);
    let Some(pid) = Pid::from_raw(pid.max(0)) else { return Err(error) };
    // SAFETY: the kernel has just made it for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok((pid, pidfd, stack.report().read()))
}

/// Runs `work` in such a way that threads begun in it never get a signal that is meant for the program.
pub(crate) fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    let mask = set_signal_mask(ALL_SIGNALS & !LIBRARY_SIGNALS);
    let result = work();
    set_signal_mask(mask);
    result
}

extern "C" fn become_program(task: *mut c_void) -> i32 {
    // SAFETY: `start` passed it, and waits.
    let task = unsafe { &mut *task.cast::<Task<'_>>() };
    let failure = prepare(task.plan).map_or_else(|failure| failure, |()| execute(task.plan));
    task.report.write(failure);
    // SAFETY: _exit runs no destructors, which belong to the parent.
    unsafe { libc::_exit(EXIT_CODE) }
}

fn prepare(plan: &mut Plan) -> Result<(), SpawnFailure> {
    reset_signals(plan.ignored_signals);
    enter_group(plan.group).map_err(at(Step::Attributes))?;
    enter_cgroup(plan).map_err(at(Step::Cgroup))?;
    place_descriptors(plan).map_err(at(Step::Descriptors))?;
    // Before the user, because only root may raise a limit.
    set_limits(plan).map_err(at(Step::Attributes))?;
    set_user(plan).map_err(at(Step::Identity))?;
    // Behind the user, because the kernel forgets the signal when that changes.
    die_with_parent(plan).map_err(at(Step::Attributes))?;
    if let Some(directory) = &plan.directory {
        // SAFETY: a C string we own.
        check(unsafe { libc::chdir(directory.as_ptr()) }).map_err(at(Step::Directory))?;
    }
    if let Some(variable) = &mut plan.listen_pid {
        // SAFETY: takes nothing and cannot fail.
        let text = variable.fill(unsafe { libc::getpid() });
        if let Some(pointer) = plan.environment.pointers.get_mut(variable.slot) {
            *pointer = text;
        }
    }
    Ok(())
}

/// Tries each candidate as `execvp` would, except that a script is not given to a shell, and that the reason is told apart.
fn execute(plan: &Plan) -> SpawnFailure {
    set_signal_mask(0);
    let (mut denied, mut without_interpreter) = (false, false);
    for candidate in &plan.candidates {
        // SAFETY: null-terminated lists of C strings, all owned by the plan.
        unsafe {
            libc::execve(
                candidate.as_ptr(),
                plan.arguments.pointers.as_ptr(),
                plan.environment.pointers.as_ptr(),
            )
        };
        match last_errno() {
            libc::ENOENT if exists(candidate) => without_interpreter = true,
            // A directory in PATH that may not be searched holds nothing for us.
            libc::EACCES if plan.searched => denied |= exists(candidate),
            libc::ENOENT | libc::ENOTDIR if plan.searched => (),
            errno => return SpawnFailure { step: Step::Executing, errno },
        }
    }
    match (without_interpreter, denied) {
        (true, _) => SpawnFailure { step: Step::Interpreter, errno: libc::ENOENT },
        (false, true) => SpawnFailure { step: Step::Executing, errno: libc::EACCES },
        (false, false) => SpawnFailure { step: Step::Executing, errno: libc::ENOENT },
    }
}

fn exists(path: &CStr) -> bool {
    // SAFETY: a C string we own.
    unsafe { libc::access(path.as_ptr(), libc::F_OK) == 0 }
}

/// Handlers do not survive exec, but ignored signals would.
fn reset_signals(ignored: &[i32]) {
    for signal in 1..=SIGNAL_MAX {
        let mut action = [0_usize; KERNEL_SIGACTION_WORDS];
        action[0] = if ignored.contains(&signal) { libc::SIG_IGN } else { libc::SIG_DFL };
        // Not through the C library, which refuses to touch the signals it uses itself, even when they are inherited.
        // SAFETY: reads an action that has no handler and no flags; SIGKILL and SIGSTOP are refused, which is right.
        unsafe {
            let nothing = ptr::null_mut::<usize>();
            libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), nothing, SIGNAL_SET_BYTES)
        };
    }
}

fn enter_group(group: Group) -> Result<(), i32> {
    let result = match group {
        Group::Inherited => 0,
        // SAFETY: plain numbers.
        Group::Own => unsafe { libc::setpgid(0, 0) },
        // SAFETY: takes nothing.
        Group::Session => unsafe { libc::setsid() },
    };
    check(result).map(drop)
}

fn enter_cgroup(plan: &Plan) -> Result<(), i32> {
    let Some(members) = &plan.cgroup else { return Ok(()) };
    // SAFETY: a C string we own.
    let file = check(unsafe { libc::open(members.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) })?;
    // 0 is the process that writes.
    // SAFETY: reads one byte we own.
    if unsafe { libc::write(file, b"0".as_ptr().cast(), 1) } < 0 { Err(last_errno()) } else { Ok(()) }
}

fn set_limits(plan: &Plan) -> Result<(), i32> {
    for (resource, limit) in &plan.limits {
        // SAFETY: reads a limit we own.
        check(unsafe { libc::setrlimit(*resource, ptr::from_ref(limit)) })?;
    }
    if let Some(mask) = plan.umask {
        // SAFETY: plain numbers; cannot fail.
        unsafe { libc::umask(mask) };
    }
    Ok(())
}

/// Not through the C library, which would look for other threads to tell.
fn set_user(plan: &Plan) -> Result<(), i32> {
    let system_call = |result: i64| if result < 0 { Err(last_errno()) } else { Ok(()) };
    let user = &plan.user;
    if let Some(groups) = &user.groups {
        // SAFETY: reads a list we own.
        system_call(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })?;
    }
    if let Some(gid) = user.gid {
        // SAFETY: plain numbers.
        system_call(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    }
    if let Some(uid) = user.uid {
        // SAFETY: plain numbers.
        system_call(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })?;
    }
    if plan.no_new_privileges {
        // SAFETY: plain numbers.
        check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    }
    Ok(())
}

fn die_with_parent(plan: &Plan) -> Result<(), i32> {
    let Some(parent) = plan.dies_with else { return Ok(()) };
    // SAFETY: plain numbers.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
    // The parent may have died before the line above; then nobody would ever kill this process.
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::getppid() } == parent { Ok(()) } else { Err(libc::ESRCH) }
}

/// Sources may have the numbers of targets, so all of them go out of the way before any is put in its place.
fn place_descriptors(plan: &mut Plan) -> Result<(), i32> {
    mark_all_close_on_exec();
    for (source, _) in &mut plan.moves {
        *source = above(*source, plan.free_from)?;
    }
    for &(source, target) in &plan.moves {
        // SAFETY: plain numbers; the copy is the one descriptor that stays open on exec.
        check(unsafe { libc::dup2(source, target) })?;
    }
    Ok(())
}

/// Our own descriptors are close-on-exec already; this is for what whoever started us left open.
fn mark_all_close_on_exec() {
    let (first, last): (u32, u32) = (3, u32::MAX);
    // SAFETY: plain numbers.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) } == 0 {
        return;
    }
    // Kernels before 5.11 have no such call.
    for descriptor in 3..=DESCRIPTOR_NUMBER_MAX {
        // SAFETY: plain numbers; most are not open, which is harmless.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

fn above(descriptor: RawFd, lowest: RawFd) -> Result<RawFd, i32> {
    if descriptor >= lowest {
        return Ok(descriptor);
    }
    // SAFETY: plain numbers.
    check(unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, lowest) })
}

fn at(step: Step) -> impl FnOnce(i32) -> SpawnFailure {
    move |errno| SpawnFailure { step, errno }
}

fn check(result: i32) -> Result<i32, i32> {
    if result < 0 { Err(last_errno()) } else { Ok(result) }
}

fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)
}

/// Returns the mask there was. Not through the C library, which never blocks the signals it uses itself.
fn set_signal_mask(mask: u64) -> u64 {
    let mut before = 0_u64;
    let how = libc::SIG_SETMASK;
    let (new, old) = (ptr::from_ref(&mask), &raw mut before);
    // SAFETY: reads and writes sets we own, of the kernel's own size.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, new, old, SIGNAL_SET_BYTES) };
    before
}
