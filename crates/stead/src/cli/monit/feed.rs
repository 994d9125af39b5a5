//! Asks the instance how it is, each second and whenever something happens, and finds it again when it is gone.

use super::MonitArguments;
use super::board::Input;
use crate::cli::fleet::{Fleet, nothing_runs};
use crate::cli::{Report, in_one_line};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stead_control::{Client, ClientError, RuntimeDirectory};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Between two attempts to reach an instance that is gone.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// The instance to watch, and the name of the app to look at first.
pub(super) async fn find(
    arguments: &MonitArguments,
    directory: &RuntimeDirectory,
) -> Result<(Client, Option<String>), Report> {
    let fleet = Fleet::find(&arguments.target, directory).await?;
    if fleet.members.is_empty() {
        return Err(nothing_runs(directory));
    }
    let Some(word) = &arguments.app else { return Ok((fleet.only()?.client.clone(), None)) };
    let aims = fleet.apps(std::slice::from_ref(word), "monit")?;
    match aims.into_iter().next() {
        Some(aim) => Ok((aim.client, Some(aim.app.name))),
        None => Err(nothing_runs(directory)),
    }
}

/// Watches until nobody listens.
pub(super) async fn run(
    mut client: Client,
    arguments: MonitArguments,
    directory: RuntimeDirectory,
    inputs: mpsc::Sender<Input>,
) {
    loop {
        let Some(why) = watch(&client, &inputs).await else { return };
        if inputs.send(Input::Lost(why)).await.is_err() {
            return;
        }
        sleep(TRY_EVERY).await;
        // The same while it lives; else whatever runs by then.
        let lives =
            directory.running().is_ok_and(|all| all.iter().any(|found| found.socket == client.socket()));
        if !lives && let Ok((found, _)) = find(&arguments, &directory).await {
            client = found;
        }
    }
}

/// Until it does not answer; says why not. Nothing when nobody listens any more.
async fn watch(client: &Client, inputs: &mpsc::Sender<Input>) -> Option<String> {
    let mut events = match client.events().await {
        Ok(events) => events,
        Err(error) => return Some(in_one_line(&error)),
    };
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => match client.status().await {
                Ok(status) => inputs.send(Input::Seen(Box::new(status))).await.ok()?,
                Err(error) => return Some(in_one_line(&error)),
            },
            event = events.next() => match event {
                Ok(Some(event)) => {
                    inputs.send(Input::Told(event, time_of_day(SystemTime::now()))).await.ok()?;
                    // What has happened is to be seen at once.
                    look.reset_immediately();
                }
                // A newer daemon may tell of things this version does not know.
                Err(ClientError::NotUnderstood { .. }) => (),
                Ok(None) => return Some("its daemon ended".to_owned()),
                Err(error) => return Some(in_one_line(&error)),
            },
            () = inputs.closed() => return None,
        }
    }
}

/// `06:01:02`, UTC.
pub(super) fn time_of_day(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds % 3600 / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::{Instance, directory, status};
    use stead_control::Status;

    async fn next(inputs: &mut mpsc::Receiver<Input>) -> Input {
        tokio::time::timeout(Duration::from_secs(10), inputs.recv())
            .await
            .expect("in time")
            .expect("it goes on")
    }

    async fn seen(inputs: &mut mpsc::Receiver<Input>) -> Status {
        loop {
            if let Input::Seen(status) = next(inputs).await {
                return *status;
            }
        }
    }

    async fn lost(inputs: &mut mpsc::Receiver<Input>) -> String {
        loop {
            if let Input::Lost(why) = next(inputs).await {
                return why;
            }
        }
    }

    #[tokio::test]
    async fn another_instance_is_found_when_the_first_is_gone() {
        let (_folder, directory) = directory();
        let first = Instance::start(&directory, |_| ());
        let arguments = MonitArguments::default();
        let (client, _) = find(&arguments, &directory).await.unwrap();
        let (sender, mut inputs) = mpsc::channel(8);
        let feed = tokio::spawn(run(client, arguments, directory.clone(), sender));
        assert_eq!(seen(&mut inputs).await.apps, status().apps);
        let pid = first.operator.status.keeper_pid;
        drop(first);
        assert!(!lost(&mut inputs).await.is_empty());
        let second = Instance::start(&directory, |operator| operator.status.version = "another".to_owned());
        let status = seen(&mut inputs).await;
        assert_eq!(status.version, "another");
        assert_ne!(status.keeper_pid, pid);
        drop(inputs);
        tokio::time::timeout(Duration::from_secs(10), feed)
            .await
            .expect("it ends with its listener")
            .unwrap();
        drop(second);
    }

    #[test]
    fn the_time_of_day_is_short() {
        let check = |seconds, expected: &str| {
            assert_eq!(time_of_day(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        };
        check(0, "00:00:00");
        check(86_400 * 3 + 3661, "01:01:01");
    }
}
