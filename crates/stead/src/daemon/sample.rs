//! How much processor time and memory each worker uses, its whole process group taken together.
//!
//! One look at `/proc` a second serves all apps: what is asked for once is measured until nobody asks any more. A worker that was
//! given a cgroup of its own is measured there, for the kernel counts better than anyone who looks at processes: it sees those
//! that came and went between two looks. In a group of processes, memory that they share counts for each of them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use stead_process::cgroup;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Nobody asks for a worker any more that was not asked for so long.
const FORGET: Duration = Duration::from_secs(5);
/// Looks after which processes that belonged to nobody are looked at again.
const STRANGERS_LOOKS: u32 = 30;

/// What a worker uses.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    /// Processors kept busy between the last two looks.
    pub(super) cpu: f64,
    pub(super) memory_bytes: u64,
}

/// Looks, as long as anybody asks.
pub(super) struct Sampler {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the process that leads the group.
    asked: HashMap<u32, Instant>,
    usage: HashMap<u32, Usage>,
}

impl Sampler {
    /// One that looks until it is dropped. Needs a runtime.
    pub(super) fn start() -> Arc<Self> {
        let sampler = Arc::new(Self { state: Mutex::default() });
        let weak = Arc::downgrade(&sampler);
        tokio::spawn(async move {
            let mut eye = Eye::default();
            let mut looks = tokio::time::interval(LOOK);
            loop {
                looks.tick().await;
                let Some(sampler) = weak.upgrade() else { return };
                let leaders = sampler.wanted(Instant::now());
                if leaders.is_empty() {
                    continue;
                }
                // Many processes take some milliseconds, in which requests are not to wait.
                let look = tokio::task::spawn_blocking(move || {
                    let usage = eye.look(Path::new("/proc"), &leaders, Instant::now());
                    (eye, usage)
                });
                let Ok((kept, usage)) = look.await else { return };
                eye = kept;
                sampler.lock().usage = usage;
            }
        });
        sampler
    }

    /// What the group of this process used when it was last looked at. Nothing at first; asking is what has it looked at.
    pub(super) fn of(&self, leader: u32) -> Option<Usage> {
        let mut state = self.lock();
        state.asked.insert(leader, Instant::now());
        state.usage.get(&leader).copied()
    }

    fn wanted(&self, now: Instant) -> HashSet<u32> {
        let mut state = self.lock();
        state.asked.retain(|_, at| now.saturating_duration_since(*at) < FORGET);
        state.asked.keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was seen so far.
#[derive(Default)]
struct Eye {
    looks: u32,
    /// Processes of no group that is asked for. They stay strangers while they live: who belongs to a group is born in it.
    strangers: HashSet<u32>,
    groups: HashMap<u32, Group>,
}

struct Group {
    at: Instant,
    /// Its own, if it was given one.
    cgroup: Option<PathBuf>,
    spent: Spent,
}

/// Processor time so far.
enum Spent {
    Cgroup(Duration),
    /// By process, in ticks.
    Processes(HashMap<u32, u64>),
}

/// A process as `/proc/<pid>/stat` shows it.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    group: u32,
    ticks: u64,
    resident_pages: u64,
}

impl Eye {
    fn look(&mut self, proc: &Path, leaders: &HashSet<u32>, now: Instant) -> HashMap<u32, Usage> {
        self.looks += 1;
        if self.looks.is_multiple_of(STRANGERS_LOOKS) {
            self.strangers.clear();
        }
        self.groups.retain(|leader, _| leaders.contains(leader));
        let found = self.processes(proc, leaders);
        let mut usage = HashMap::new();
        for (leader, members) in found {
            let cgroup = match self.groups.get(&leader) {
                Some(known) => known.cgroup.clone(),
                None => cgroup::of_worker(leader),
            };
            let before = self.groups.remove(&leader);
            let (spent, memory_bytes) =
                cgroup.as_deref().and_then(in_cgroup).unwrap_or_else(|| in_processes(&members));
            let cpu = before.map_or(0.0, |before| rate(&before, &spent, now));
            usage.insert(leader, Usage { cpu, memory_bytes });
            self.groups.insert(leader, Group { at: now, cgroup, spent });
        }
        usage
    }

    /// Members of each group.
    fn processes(&mut self, proc: &Path, leaders: &HashSet<u32>) -> HashMap<u32, Vec<(u32, Stat)>> {
        let mut groups: HashMap<u32, Vec<(u32, Stat)>> = HashMap::new();
        let mut strangers = HashSet::new();
        let names = fs::read_dir(proc).into_iter().flatten().flatten().map(|entry| entry.file_name());
        for pid in names.filter_map(|name| name.to_str()?.parse::<u32>().ok()) {
            if self.strangers.contains(&pid) && !leaders.contains(&pid) {
                strangers.insert(pid);
                continue;
            }
            // It may have ended meanwhile.
            let Some(stat) = stat(proc, pid) else { continue };
            if leaders.contains(&stat.group) {
                groups.entry(stat.group).or_default().push((pid, stat));
            } else {
                strangers.insert(pid);
            }
        }
        self.strangers = strangers;
        groups
    }
}

fn rate(before: &Group, spent: &Spent, now: Instant) -> f64 {
    let passed = now.saturating_duration_since(before.at).as_secs_f64();
    let spent = match (&before.spent, spent) {
        (Spent::Cgroup(before), Spent::Cgroup(now)) => now.saturating_sub(*before).as_secs_f64(),
        (Spent::Processes(before), Spent::Processes(now)) => {
            // A process that was not there before has spent all it has spent since then.
            let since =
                |(pid, ticks): (&u32, &u64)| ticks.saturating_sub(before.get(pid).copied().unwrap_or(0));
            now.iter().map(since).sum::<u64>() as f64 / rustix::param::clock_ticks_per_second() as f64
        }
        _ => 0.0,
    };
    if passed > 0.0 { spent / passed } else { 0.0 }
}

fn in_processes(members: &[(u32, Stat)]) -> (Spent, u64) {
    let pages: u64 = members.iter().map(|(_, stat)| stat.resident_pages).sum();
    let spent = members.iter().map(|(pid, stat)| (*pid, stat.ticks)).collect();
    (Spent::Processes(spent), pages * rustix::param::page_size() as u64)
}

/// Files that are kept only because memory is free do not count.
fn in_cgroup(directory: &Path) -> Option<(Spent, u64)> {
    let read = |name: &str| fs::read_to_string(directory.join(name)).ok();
    let spent = Duration::from_micros(value(&read("cpu.stat")?, "usage_usec")?);
    let current: u64 = read("memory.current")?.trim().parse().ok()?;
    let files = value(&read("memory.stat")?, "inactive_file").unwrap_or(0);
    Some((Spent::Cgroup(spent), current.saturating_sub(files)))
}

fn value(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

fn stat(proc: &Path, pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(proc.join(pid.to_string()).join("stat")).ok()?)
}

/// proc_pid_stat(5); the name stands in brackets and may hold anything, brackets included.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
    // The first of these is the third of the file.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat {
        group: u32::try_from(field(5)?).ok()?,
        ticks: field(14)? + field(15)?,
        resident_pages: field(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `/proc` of processes, each with its group, ticks and pages.
    fn write(directory: &Path, processes: &[(u32, u32, u64, u64)]) {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            fs::remove_dir_all(entry.path()).unwrap();
        }
        for (pid, group, ticks, pages) in processes {
            let own = directory.join(pid.to_string());
            fs::create_dir(&own).unwrap();
            let stat = format!(
                "{pid} (a) b) S 1 {group} 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 5 1000 {pages} 0\n"
            );
            fs::write(own.join("stat"), stat).unwrap();
        }
    }

    #[test]
    fn line_of_a_process_is_read_whatever_its_name_is() {
        let check = |text: &str, expected: Option<Stat>| assert_eq!(parse_stat(text), expected, "{text:?}");
        let line = "7 (no (de) 1 S 9) S 1 5 5 0 -1 4194560 1 2 3 4 30 12 99 99 20 0 11 0 77 1000 42 0 0";
        check(line, Some(Stat { group: 5, ticks: 42, resident_pages: 42 }));
        check("7 (node) S 1", None);
        check("", None);
    }

    #[test]
    fn group_is_measured_as_a_whole_and_strangers_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let (proc, start) = (directory.path(), Instant::now());
        let page = rustix::param::page_size() as u64;
        let second = rustix::param::clock_ticks_per_second();
        let (mut eye, leaders) = (Eye::default(), HashSet::from([10, 20]));
        write(proc, &[(10, 10, second, 100), (11, 10, 0, 50), (20, 20, 0, 1), (30, 30, 900, 900)]);
        let first = eye.look(proc, &leaders, start);
        assert_eq!(first[&10], Usage { cpu: 0.0, memory_bytes: 150 * page });
        // 11 has ended, 12 is new.
        write(
            proc,
            &[(10, 10, second * 2, 100), (12, 10, second, 1), (20, 20, second / 2, 1), (30, 30, 900, 900)],
        );
        let later = eye.look(proc, &leaders, start + Duration::from_secs(2));
        assert_eq!(later[&10], Usage { cpu: 1.0, memory_bytes: 101 * page });
        assert_eq!(later[&20].cpu, 0.25);
        assert_eq!(later.len(), 2);
        // A worker that is started under the number of a stranger is none.
        let leaders = HashSet::from([30]);
        assert_eq!(eye.look(proc, &leaders, start)[&30].memory_bytes, 900 * page);
    }

    #[test]
    fn cgroup_counts_without_files_that_memory_is_only_lent_to() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("cpu.stat", "usage_usec 2500000\nuser_usec 1\n");
        write("memory.current", "1000\n");
        assert!(in_cgroup(directory.path()).is_none());
        write("memory.stat", "anon 5\ninactive_file 300\n");
        let (spent, memory) = in_cgroup(directory.path()).unwrap();
        assert!(matches!(spent, Spent::Cgroup(time) if time == Duration::from_millis(2500)));
        assert_eq!(memory, 700);
    }
}
