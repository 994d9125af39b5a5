//! What the new process does between `fork` and `exec`.
//!
//! The memory it sees is a copy that may be in any state (another thread may have been allocating), so nothing here
//! allocates, locks or panics; everything was laid out in the [`Plan`]. A step that fails is written to the pipe and the
//! process ends.

use std::ffi::CStr;
use std::os::fd::RawFd;
use std::{io, mem, ptr};

use rustix::process::Pid;

use super::plan::Plan;
use super::{DESCRIPTOR_NUMBER_MAX, SpawnFailure, Step};

/// One byte for the step, four for `errno`.
pub(super) const REPORT_BYTES: usize = 5;

/// The kernel's structure begins with the handler and has at most this size; all else is zero here.
const KERNEL_SIGACTION_WORDS: usize = 8;
const SIGNAL_SET_BYTES: usize = 8;

/// Highest signal number on Linux.
const SIGNAL_MAX: i32 = 64;

/// Never seen by anybody but the kernel: the parent reads the pipe and reaps.
const EXIT_CODE: i32 = 127;

/// Creates the process. Returns in the parent only.
pub(super) fn fork_into(plan: &mut Plan, report: RawFd) -> io::Result<Pid> {
    // A signal that reached the child before its handlers are reset would run the parent's handlers there.
    let mask = set_signal_mask(&filled_signal_set());
    // SAFETY: the child only runs `become_program`, which keeps to async-signal-safe calls and does not return.
    let forked = unsafe { libc::fork() };
    if forked == 0 {
        become_program(plan, report);
    }
    let result = if forked < 0 { Err(io::Error::last_os_error()) } else { Ok(Pid::from_raw(forked)) };
    set_signal_mask(&mask);
    result.map(|pid| pid.expect("fork returned a process"))
}

fn become_program(plan: &mut Plan, mut report: RawFd) -> ! {
    let failure = prepare(plan, &mut report).map_or_else(|failure| failure, |()| execute(plan));
    let mut bytes = [0; REPORT_BYTES];
    bytes[0] = failure.step as u8;
    bytes[1..].copy_from_slice(&failure.errno.to_ne_bytes());
    // SAFETY: writes 5 bytes we own; _exit runs no destructors, which belong to the parent.
    unsafe {
        libc::write(report, bytes.as_ptr().cast(), bytes.len());
        libc::_exit(EXIT_CODE)
    }
}

fn prepare(plan: &mut Plan, report: &mut RawFd) -> Result<(), SpawnFailure> {
    reset_signals(plan.ignored_signals);
    // SAFETY: plain numbers.
    check(unsafe { libc::setpgid(0, 0) }).map_err(at(Step::Attributes))?;
    enter_cgroup(plan).map_err(at(Step::Cgroup))?;
    place_descriptors(plan, report).map_err(at(Step::Descriptors))?;
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
    set_signal_mask(&empty_signal_set());
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
fn place_descriptors(plan: &mut Plan, report: &mut RawFd) -> Result<(), i32> {
    mark_all_close_on_exec();
    *report = above(*report, plan.free_from)?;
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

fn filled_signal_set() -> libc::sigset_t {
    // SAFETY: a plain bit set for which all zeros is valid.
    let mut set = unsafe { mem::zeroed() };
    // SAFETY: writes to a set we own.
    unsafe { libc::sigfillset(&raw mut set) };
    set
}

fn empty_signal_set() -> libc::sigset_t {
    // SAFETY: a plain bit set for which all zeros is valid, and is the empty set.
    unsafe { mem::zeroed() }
}

/// Returns the mask there was.
fn set_signal_mask(mask: &libc::sigset_t) -> libc::sigset_t {
    let mut before = empty_signal_set();
    // SAFETY: reads and writes sets we own; fails only for a first argument that does not exist.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, ptr::from_ref(mask), &raw mut before) };
    before
}
