//! Routes with `static`: an app of its own, `NAME.static`, serves the files of all such routes of an app, supervised like any
//! other. The daemon itself opens no file that strangers ask for.

use super::error::ConfigError;
use super::settings::{
    AppSettings, HealthSettings, HookSettings, MessageSettings, Mode, Program, Ready, RecycleSettings,
    RouteSettings, Upstream,
};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What the app that serves files for another is called.
pub fn companion(app: &str) -> String {
    format!("{app}.static")
}

/// The same apps, and behind each that has such routes the one that serves them.
pub(super) fn set_apart(apps: Vec<AppSettings>) -> Result<Vec<AppSettings>, ConfigError> {
    let mut all: Vec<AppSettings> = Vec::new();
    for mut app in apps {
        let (files, routes): (Vec<_>, Vec<_>) =
            app.routes.into_iter().partition(|route| route.files.is_some());
        app.routes = routes;
        let server = if files.is_empty() { None } else { Some(file_server(&app, files)?) };
        app.has_companion = server.is_some();
        all.push(app);
        all.extend(server);
    }
    for (index, app) in all.iter().enumerate() {
        if all[..index].iter().any(|earlier| earlier.name == app.name) {
            let message = format!(
                "the name `{}` is taken: it is that of the app that serves files for another",
                app.name
            );
            return Err(wrong(message, "give the app another name"));
        }
    }
    Ok(all)
}

fn wrong(message: String, hint: &str) -> ConfigError {
    ConfigError::Option { message, hint: Some(hint.to_owned()) }
}

fn file_server(app: &AppSettings, files: Vec<RouteSettings>) -> Result<AppSettings, ConfigError> {
    let named = |what: &str| format!("app `{}`: {what}", app.name);
    if app.listen.is_empty() {
        let message = named("a route with `static` needs an address in `listen`");
        return Err(wrong(
            message,
            "the files are served by an app of their own, which does not know where yours listens",
        ));
    }
    let mut arguments: Vec<OsString> =
        vec![this_program()?.into(), "file-server".into(), "--socket".into(), "{socket}".into()];
    for route in &files {
        let directory = route.files.as_deref().unwrap_or(Path::new("/"));
        if !directory.is_dir() {
            let message = named(&format!(
                "`static` of the route `{}`: `{}` is no directory",
                route.pattern,
                directory.display()
            ));
            return Err(wrong(message, "paths start where the file of the configuration is"));
        }
        arguments.extend(["--route".into(), route.pattern.to_string().into(), directory.into()]);
    }
    let served: Vec<_> = files
        .iter()
        .filter_map(|route| route.files.as_ref())
        .map(|path| path.display().to_string())
        .collect();
    let program = Program {
        arguments,
        display: format!("files of {}", served.join(", ")),
        is_node: false,
        shell: false,
    };
    Ok(AppSettings {
        name: companion(&app.name),
        program,
        routes: files.into_iter().map(|route| RouteSettings { files: None, ..route }).collect(),
        instances: 1,
        mode: Mode::Http,
        ports: std::collections::BTreeMap::new(),
        upstream: Upstream::Socket,
        ready: Ready::Auto,
        depends_on: Vec::new(),
        recycle: RecycleSettings { memory_bytes: None, age: None, requests: None },
        watch: None,
        cron_restart: None,
        datagrams: Vec::new(),
        schedules: Vec::new(),
        hooks: HookSettings { before_start: None, after_ready: None, ..app.hooks.clone() },
        health: HealthSettings { check: None, ..app.health.clone() },
        messages: MessageSettings { shared: Vec::new(), ..app.messages.clone() },
        ..app.clone()
    })
}

/// The file that this program is, as it is called now: it may have been replaced since it was started.
fn this_program() -> Result<PathBuf, ConfigError> {
    let program = std::env::current_exe().map_err(|error| {
        wrong("failed to find out which file this program is".to_owned(), &error.to_string())
    })?;
    let text = program.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map(PathBuf::from).unwrap_or(program))
}
