//! `cron_restart`: a rolling reload when the clock says so, once for the app and not for each copy; one that has finished runs
//! again.
//!
//! In local time; a time that the clock leaves out or has twice is the expression's own affair (`croner`). What fell into a
//! time in which no daemon ran is not made up for.

use std::time::Duration;

use jiff::Zoned;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::app::AppTask;
use super::message::Message;
use super::renew::{How, Renewal};
use crate::config::parse_cron;

/// The clock is looked at this often, for it may be set meanwhile.
const LOOK_MAX: Duration = Duration::from_secs(30);

/// Follows a clock until it is dropped.
pub(super) struct Schedule(JoinHandle<()>);

impl Drop for Schedule {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl AppTask {
    /// Follows the clock as the settings of this moment say.
    pub(super) fn follow_clock(&mut self) {
        self.schedule = None;
        let Some(expression) = self.settings.cron_restart.clone() else { return };
        // It was checked when it was read.
        let Ok(cron) = parse_cron(&expression) else { return };
        let Ok(first) = cron.find_next_occurrence(&Zoned::now(), false) else {
            return self.say(&format!("`cron_restart = \"{expression}\"` never comes"));
        };
        self.say(&format!("`cron_restart` is next at {}", first.strftime("%F %T %Z")));
        self.schedule = Some(Schedule(tokio::spawn(follow(cron, self.inbox.clone()))));
    }

    /// The clock says so.
    pub(super) fn come_due(&mut self) {
        self.say("it is time for `cron_restart`");
        let how = if self.rests { How::Restart } else { How::Reload };
        self.renew(Renewal { how, ..Renewal::reload() });
    }
}

async fn follow(cron: croner::Cron, inbox: mpsc::UnboundedSender<Message>) {
    let mut from = Zoned::now();
    while let Ok(next) = cron.find_next_occurrence(&from, false) {
        from = until(next).await;
        if inbox.send(Message::Due).is_err() {
            return;
        }
    }
}

/// Waits until the clock shows `time`; returns what it shows then.
async fn until(time: Zoned) -> Zoned {
    loop {
        let now = Zoned::now();
        let left = time.timestamp().duration_since(now.timestamp());
        match Duration::try_from(left) {
            Ok(left) if !left.is_zero() => tokio::time::sleep(left.min(LOOK_MAX)).await,
            _ => return now,
        }
    }
}
