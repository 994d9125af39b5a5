//! How values of PM2's become ours: care, identity and logs. `keys.rs` says which is for which key.

use super::draft::Draft;
use super::values::{Wrong, boolean, size, text, texts, time};
use crate::config::cron::parse_cron;
use serde_json::Value;
use std::path::Path;

type Taken = Result<(), Wrong>;

pub(super) fn treekill(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    if !boolean(value)? {
        draft.note(
            from,
            "what a worker has started ends with it: a program that is to stay is an app of its own",
        );
    }
    Ok(())
}

pub(super) fn memory(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let size = size(value)?;
    if size != "0B" {
        draft.set("recycle_memory", size, from);
        draft.remark("the fresh worker is ready before the old one leaves");
    }
    Ok(())
}

pub(super) fn watch(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    match value {
        Value::Array(_) => draft.set("watch", texts(value)?, from),
        Value::String(path) if path != "true" && path != "false" => {
            draft.set("watch", vec![path.clone()], from)
        }
        _ if boolean(value)? => draft.set("watch", true, from),
        _ => return Ok(()),
    };
    draft.remark("reloads worker by worker");
    Ok(())
}

pub(super) fn watch_ignore(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let (expressions, patterns): (Vec<String>, Vec<String>) =
        texts(value)?.into_iter().partition(|pattern| is_expression(pattern));
    if !expressions.is_empty() {
        let expressions = expressions.join(" ");
        draft.note(
            from,
            format!("{expressions} is a regular expression; patterns are written as in .gitignore"),
        );
    }
    if !patterns.is_empty() {
        draft.set("watch_ignore", patterns, from);
        draft.remark("written as in .gitignore");
    }
    Ok(())
}

/// A regular expression, of JavaScript's or as text.
fn is_expression(pattern: &str) -> bool {
    pattern.contains("\\.") || pattern.contains("[\\/") || pattern.contains(['|', '^', '$', '+'])
}

pub(super) fn watch_delay(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let (text, milliseconds) = time(value)?;
    if milliseconds > 0 {
        draft.set("watch_delay", text, from);
    }
    Ok(())
}

pub(super) fn cron(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let expression = text(value)?;
    if expression != "0" && !expression.is_empty() {
        parse_cron(&expression)?;
        draft.set("cron_restart", expression, from);
        draft.remark("reloads worker by worker, once for the app");
    }
    Ok(())
}

pub(super) fn user(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let user = text(value)?;
    if !user.is_empty() {
        draft.set("uid", user, from);
    }
    Ok(())
}

pub(super) fn group(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let group = text(value)?;
    if !group.is_empty() {
        draft.set("gid", group, from);
    }
    Ok(())
}

pub(super) fn disable_logs(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    if boolean(value)? {
        draft.set("logs", "off", from);
    }
    Ok(())
}

pub(super) fn out_file(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    file_of_log(value, from, draft)
}

pub(super) fn error_file(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    file_of_log(value, from, draft)
}

pub(super) fn log_file(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    match value {
        // Both streams in one place, as always.
        Value::Bool(_) | Value::Null => Ok(()),
        _ => file_of_log(value, from, draft),
    }
}

/// One directory holds both streams of an app, so the first file says where it is.
fn file_of_log(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    let file = text(value)?;
    if ["/dev/null", "NULL", "\\\\.\\NUL"].contains(&file.as_str()) {
        draft.pending.silenced.push(from.to_owned());
        return Ok(());
    }
    let parent = Path::new(&file).parent().map(|parent| parent.to_string_lossy().into_owned());
    let parent = parent.filter(|parent| !parent.is_empty()).unwrap_or_else(|| ".".to_owned());
    let cwd =
        draft.settings.iter().find(|setting| setting.key == "cwd").and_then(|setting| setting.value.as_str());
    let parent = cwd.map_or(parent.clone(), |cwd| Path::new(cwd).join(parent).to_string_lossy().into_owned());
    let directory = format!("{}/{}", parent.trim_end_matches('/'), draft.name);
    if let Some(setting) = draft.settings.iter().find(|setting| setting.key == "logs") {
        if setting.value.as_str() != Some("off") && setting.value.as_str() != Some(&directory) {
            draft.note(from, "both streams of an app are kept in one directory, see `logs`");
        }
        return Ok(());
    }
    draft.set("logs", directory, from);
    draft.remark("a directory: files in it are rotated, each line says which copy and stream it is from");
    Ok(())
}

pub(super) fn log_type(value: &Value, from: &str, draft: &mut Draft) -> Taken {
    match text(value)?.as_str() {
        "json" => draft.set("log_format", "json", from),
        "" | "raw" | "text" => return Ok(()),
        other => return Err(format!("`{other}` is not a format of logs; there is `json`")),
    };
    Ok(())
}
