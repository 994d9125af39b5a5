//! Makes settings of what an app's table says: the program is looked for, directories become absolute, the environment whole.

use super::INSTANCES_MAX;
use super::error::ConfigError;
use super::instances::InstanceCount;
use super::program::{Request, Resolved, resolve, tidy};
use super::program_error::ProgramError;
use super::read_app::{AppTable, check_name};
use super::read_care::{CareTable, LogTable};
use super::read_routes;
use super::settings::{AppSettings, Identity, LogPlace, LogSettings, PoolSettings, WatchSettings};
use super::users::{Caller, owner};
use crate::cli::RunArguments;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Variables that tell a process about descriptors and sockets of its parent. Workers get their own.
const SCRUBBED: [&str; 11] = [
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NODE_CHANNEL_FD",
    "NODE_CHANNEL_SERIALIZATION_MODE",
    "NODE_UNIQUE_ID",
    "NOTIFY_SOCKET",
    "STEAD_KEEPER_FD",
    "STEAD_KEEPER_PROTOCOL",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// What is around an app: where and how `stead run` was called.
pub(super) struct Around<'a> {
    pub(super) arguments: &'a RunArguments,
    /// The current one.
    pub(super) directory: &'a Path,
    /// Where relative directories of tables start.
    pub(super) base: &'a Path,
    pub(super) environment: &'a BTreeMap<OsString, OsString>,
    pub(super) caller: Caller,
}

impl Around<'_> {
    /// The settings of one app.
    pub(super) fn settings(&self, name: Option<String>, table: AppTable) -> Result<AppSettings, ConfigError> {
        let arguments = self.arguments;
        let name = arguments.name.clone().or(name);
        if let Some(name) = &name {
            check_name(name.clone()).map_err(|message| ConfigError::Option { message, hint: None })?;
        }
        let words = table.command.as_deref().unwrap_or(&arguments.command);
        let kind = if table.pool.is_some() { "pool" } else { "app" };
        let what = || name.as_ref().map_or_else(|| command(words), |name| format!("{kind} `{name}`"));
        let identity = identity(&table.care, self.caller)
            .map_err(|reason| ConfigError::Identity { what: what(), reason })?;
        let mut environment = self.environment(&table, &identity);
        let resolved = self
            .resolve(words, &table, &mut environment)
            .map_err(|source| ConfigError::Program { what: what(), source })?;
        let listen = if arguments.listen.is_empty() { table.listen } else { arguments.listen.clone() };
        let (datagrams, listen) = listen.into_iter().partition(|listen| listen.datagrams);
        let care = table.care;
        let pool = table.pool.as_ref().map(|pool| self.sized(pool.settings()));
        Ok(AppSettings {
            name: name.unwrap_or(resolved.name),
            namespace: table.namespace,
            autostart: table.autostart,
            program: resolved.program,
            watch: watch(&care, &resolved.directory),
            directory: resolved.directory,
            environment,
            instances: self.instances(table.instances, pool.as_ref()),
            listen,
            datagrams,
            routes: read_routes::settle(table.routes, self.base),
            has_companion: false,
            redirect_https: table.tls.redirect,
            tls: table.tls.settings(self.base, self.environment),
            mode: arguments.mode.unwrap_or(table.mode),
            ports: table.ports,
            proxy_protocol: table.proxy_protocol,
            send_proxy: table.send_proxy,
            upstream: table.upstream,
            remote_address: table.remote_address,
            serialization: table.serialization,
            ready: table.ready,
            ready_interval: table.ready_interval,
            ready_timeout: table.ready_timeout,
            on_ready_timeout: table.on_ready_timeout,
            assume_ready_after: table.assume_ready_after,
            restart: table.restart,
            stop_exit_codes: table.stop_exit_codes,
            depends_on: care.depends_on.into_iter().map(|(dependency, _)| dependency).collect(),
            stop: table.stop,
            reload_parallel: table.reload_parallel,
            recycle: care.recycle,
            slow_start: care.slow_start,
            cron_restart: care.cron_restart,
            identity,
            cgroup: care.cgroup,
            hooks: care.hooks,
            health: care.health,
            logs: self.logs(&care.logs),
            balancer: table.balancer,
            choosing: table.choosing,
            messages: table.messages,
            pool,
            schedules: table.schedules,
        })
    }

    /// What it runs.
    fn resolve(
        &self,
        words: &[OsString],
        table: &AppTable,
        environment: &mut BTreeMap<OsString, OsString>,
    ) -> Result<Resolved, ProgramError> {
        let arguments = [&table.args[..], &self.arguments.arguments].concat();
        let request = Request {
            words,
            arguments: &arguments,
            interpreter: table.interpreter.as_deref(),
            interpreter_arguments: &table.interpreter_args,
            shell: table.shell || self.arguments.shell,
            directory: &tidy(&self.place(table)),
        };
        resolve(request, environment)
    }

    /// A number on the command line is the size of a pool too.
    fn sized(&self, mut pool: PoolSettings) -> PoolSettings {
        if let Some(count) = self.arguments.instances {
            let count = count.here().min(INSTANCES_MAX);
            pool.size = (count, count);
        }
        pool
    }

    /// A pool begins with the fewest workers that it may have.
    fn instances(&self, count: InstanceCount, pool: Option<&PoolSettings>) -> u32 {
        let configured = pool.map_or_else(|| count.here(), |pool| pool.size.0);
        self.arguments.instances.map_or(configured, InstanceCount::here).min(INSTANCES_MAX)
    }

    /// Where it runs, unless its program says otherwise.
    fn place(&self, table: &AppTable) -> PathBuf {
        match &self.arguments.cwd {
            Some(directory) => self.directory.join(directory),
            None => self.base.join(&table.cwd),
        }
    }

    /// From the weakest to the strongest: what Stead was called with, the user's, the table's, the profile's, the options'.
    fn environment(&self, table: &AppTable, identity: &Identity) -> BTreeMap<OsString, OsString> {
        let mut environment = self.environment.clone();
        environment.retain(|name, _| !SCRUBBED.iter().any(|scrubbed| name == scrubbed));
        let user = table.care.uid.as_ref().and_then(|user| user.entry.as_ref());
        if let Some(user) = user.filter(|_| identity.uid.is_some()) {
            environment.insert("HOME".into(), user.home.clone().into());
            environment.insert("USER".into(), user.name.clone().into());
            environment.insert("LOGNAME".into(), user.name.clone().into());
        }
        environment.extend(table.env.iter().cloned());
        let profile = self.arguments.profile().and_then(|profile| table.profiles.get(profile));
        environment.extend(profile.into_iter().flatten().cloned());
        let flags = self.arguments.variables();
        environment.extend(flags.map(|variable| (variable.name.clone(), variable.value.clone())));
        environment
    }

    fn logs(&self, table: &LogTable) -> LogSettings {
        LogSettings {
            place: match table.place.as_str() {
                "auto" => LogPlace::Auto,
                "off" => LogPlace::Off,
                directory => LogPlace::Directory(tidy(&self.base.join(directory))),
            },
            json: table.json,
            rotate_bytes: table.rotate_bytes,
            rotate_age: table.rotate_age,
            total_bytes_max: table.total_bytes_max,
            compress: table.compress,
            line_bytes_max: table.line_bytes_max,
            access: table.access,
            access_query: table.access_query,
        }
    }
}

fn identity(care: &CareTable, caller: Caller) -> Result<Identity, String> {
    let owner = owner(care.uid.as_ref(), care.gid, caller)?;
    let home = |uid: Option<u32>| uid.and(care.uid.as_ref()?.entry.as_ref().map(|entry| entry.home.clone()));
    Ok(Identity {
        home: home(owner.uid),
        uid: owner.uid,
        gid: owner.gid,
        groups: owner.groups,
        umask: care.umask,
        limits: care.limits.clone(),
        no_new_privileges: care.no_new_privileges,
    })
}

fn watch(care: &CareTable, directory: &Path) -> Option<WatchSettings> {
    let paths = care.watch.as_ref()?.iter().map(|path| tidy(&directory.join(path)));
    Some(WatchSettings {
        paths: paths.collect::<Vec<PathBuf>>(),
        ignore: care.watch_ignore.clone(),
        delay: care.watch_delay,
    })
}

/// What to call an app whose name is not known because its program is not.
fn command(words: &[OsString]) -> String {
    let words: Vec<_> = words.iter().map(|word| OsStr::to_string_lossy(word)).collect();
    format!("`{}`", words.join(" "))
}
