//! How values of PM2's become ours: the program, its copies, and when it is restarted and stopped. `keys.rs` says which is
//! for which key.

use super::draft::{Draft, Note, Weight, fit_name};
use super::values::{Wrong, boolean, integer, shown, text, time, time_text, variables, words};
use crate::config::INSTANCES_MAX;
use serde_json::Value;

/// `ready_timeout` and `grace` of `defaults.toml`, in milliseconds: what is shorter in PM2's file is not taken over.
const PATIENCE: u64 = 30_000;

/// The longest wait between two tries of PM2's.
const BACKOFF_MAX: &str = "15s";

type Taken = Result<(), Wrong>;

pub(super) fn name(value: &Value, _: &str, draft: &mut Draft) -> Taken {
    draft.pending.name = Some(text(value)?);
    Ok(())
}

pub(super) fn name_prefix(value: &Value, _: &str, draft: &mut Draft) -> Taken {
    draft.pending.prefix = Some(text(value)?);
    Ok(())
}

pub(super) fn script(value: &Value, _: &str, draft: &mut Draft) -> Taken {
    let script = text(value)?;
    if script == "serve" {
        return Err("PM2's own server of static files is not offered: name a server's command".to_owned());
    }
    draft.pending.script = Some(script);
    Ok(())
}

pub(super) fn arguments(value: &Value, _: &str, draft: &mut Draft) -> Taken {
    draft.pending.arguments = words(value)?;
    Ok(())
}

pub(super) fn interpreter(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let name = text(value)?;
    if let Some((program, version)) = name.split_once('@') {
        let path = "PATH, or a whole path as `interpreter`, chooses among several";
        draft.note(from, format!("the version {version} of `{program}` is not looked for: {path}"));
    } else if !name.is_empty() {
        draft.pending.interpreter = Some(name);
    }
    Ok(())
}

pub(super) fn interpreter_arguments(value: &Value, _: &str, draft: &mut Draft) -> Taken {
    draft.pending.interpreter_arguments = words(value)?;
    Ok(())
}

pub(super) fn source_maps(value: &Value, _: &str, draft: &mut Draft) -> Taken {
    let flag = "--enable-source-maps".to_owned();
    if boolean(value)? && !draft.pending.interpreter_arguments.contains(&flag) {
        draft.pending.interpreter_arguments.push(flag);
    }
    Ok(())
}

pub(super) fn directory(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let directory = text(value)?;
    draft.pending.directory = draft.pending.directory.join(&directory);
    draft.set("cwd", directory, from);
    Ok(())
}

pub(super) fn environment(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let table = variables(value)?;
    if !table.is_empty() {
        draft.set("env", table, from);
    }
    Ok(())
}

/// `env_production` and the like: the name of the profile is in the key.
pub(super) fn profile(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let table = variables(value)?;
    draft.set(from, table, from);
    Ok(())
}

pub(super) fn port(value: &Value, _: &str, draft: &mut Draft) -> Taken {
    let port = integer(value)?;
    let port = u16::try_from(port).map_err(|_| format!("`{port}` is not a port (0 to 65535)"))?;
    draft.pending.port = Some(port.to_string());
    Ok(())
}

pub(super) fn namespace(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let written = text(value)?;
    let name = fit_name(&written);
    draft.set("namespace", name.clone(), from);
    if name != written {
        draft.remark(&format!("was `{written}`: names have letters, digits, `-`, `_` and `.`"));
    }
    Ok(())
}

pub(super) fn autostart(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    if !boolean(value)? {
        draft.set("autostart", false, from);
    }
    Ok(())
}

pub(super) fn instances(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    match value {
        Value::String(word) if word == "max" => draft.set("instances", "max", from),
        _ => match integer(value).map_err(|_| format!("{} is neither a number nor `max`", shown(value)))? {
            0 => draft.set("instances", "max", from),
            count if count.unsigned_abs() > u64::from(INSTANCES_MAX) => {
                return Err(format!("at most {INSTANCES_MAX} instances can run"));
            }
            count => draft.set("instances", count, from),
        },
    };
    Ok(())
}

pub(super) fn instance_variable(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let name = text(value)?;
    if name != "NODE_APP_INSTANCE" {
        let reason = "the number of a copy is always in NODE_APP_INSTANCE and STEAD_INSTANCE";
        draft.note(from, reason);
    }
    Ok(())
}

pub(super) fn wait_ready(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    if boolean(value)? {
        draft.set("ready", "message", from);
    }
    Ok(())
}

pub(super) fn listen_timeout(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let (text, milliseconds) = time(value)?;
    if milliseconds > PATIENCE {
        draft.set("ready_timeout", text, from);
        draft.remark("a worker that is not ready by then has failed, and the old one stays");
    } else {
        let reason =
            "waiting costs nothing, because the old worker serves meanwhile: `ready_timeout` stays at 30s";
        draft.notes.push(Note::new(from, reason, Weight::Needless));
    }
    Ok(())
}

pub(super) fn autorestart(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    if !boolean(value)? {
        draft.set("restart", "temporary", from);
    }
    Ok(())
}

pub(super) fn max_restarts(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let count = integer(value)?;
    let count = u32::try_from(count).map_err(|_| format!("`{count}` is not a number of restarts"))?;
    draft.set("starts_max", i64::from(count.max(1)), from).set("restarts_max", i64::from(count), from);
    draft.remark("early deaths within `restarts_period`; then a rest of `cool_down`, and another try");
    Ok(())
}

pub(super) fn min_uptime(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let (text, _) = time(value)?;
    draft.set("stable_after", text, from);
    Ok(())
}

pub(super) fn restart_delay(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let (text, milliseconds) = time(value)?;
    if milliseconds > 0 {
        draft.set("backoff_first", text.clone(), from).set("backoff_max", text, from);
        draft.remark("after an early death; a worker that had been well is replaced at once");
    }
    Ok(())
}

pub(super) fn backoff(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let (text, milliseconds) = time(value)?;
    if milliseconds > 0 {
        draft.set("backoff_first", text, from).set("backoff_max", BACKOFF_MAX, from);
    }
    Ok(())
}

pub(super) fn stop_exit_codes(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let codes: Vec<i64> = match value {
        Value::Array(values) => values.iter().map(integer).collect::<Result<_, _>>()?,
        value => {
            words(value)?.into_iter().map(|word| integer(&Value::from(word))).collect::<Result<_, _>>()?
        }
    };
    if let Some(wrong) = codes.iter().find(|code| !(0..=255).contains(*code)) {
        return Err(format!("`{wrong}` is not an exit code (0 to 255)"));
    }
    if !codes.is_empty() {
        draft.set("stop_exit_codes", codes, from);
    }
    Ok(())
}

pub(super) fn kill_timeout(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let (text, milliseconds) = time(value)?;
    if milliseconds > PATIENCE {
        draft.set("grace", time_text(milliseconds), from);
    }
    draft.set("kill_after", text, from);
    draft.remark("from SIGTERM to SIGKILL; before that it finishes its requests (`grace`) and is asked to end (`terminate_after`)");
    Ok(())
}
