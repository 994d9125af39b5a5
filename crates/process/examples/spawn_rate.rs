//! How many children a second can be started and waited for.
//!
//! Usage: spawn_rate COUNT CONCURRENCY async|blocking
//!
//! Runs `/bin/true` COUNT times, CONCURRENCY at once, without environment and with `/dev/null` as streams, and prints one
//! JSON object.

use std::io::Write;
use std::time::Instant;

use stead_process::child::{Child, Command, Exit, Stdio};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, concurrency, mode] = arguments.as_slice() else {
        return Err("usage: spawn_rate COUNT CONCURRENCY async|blocking".into());
    };
    let (count, concurrency) = (count.parse::<usize>()?, concurrency.parse::<usize>()?.max(1));
    let begun = Instant::now();
    let failures = match mode.as_str() {
        "async" => tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?
            .block_on(run(count, concurrency))?,
        "blocking" => run_blocking(count, concurrency)?,
        other => return Err(format!("`{other}` is neither async nor blocking").into()),
    };
    let seconds = begun.elapsed().as_secs_f64();
    let per_second = count as f64 / seconds;
    let report = serde_json::json!({ "per_s": per_second.round(), "bad": failures, "seconds": seconds });
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

fn spawn() -> Result<Child, stead_process::child::SpawnError> {
    let mut command = Command::new("/bin/true");
    command.env_clear().stdin(Stdio::Null).stdout(Stdio::Null).stderr(Stdio::Null).spawn()
}

/// A task for each child that may run at once.
async fn run(count: usize, concurrency: usize) -> Result<usize, Box<dyn std::error::Error>> {
    let local = tokio::task::LocalSet::new();
    let lane = |lane: usize| async move {
        let mut failures = 0;
        for _ in (lane..count).step_by(concurrency) {
            failures += usize::from(
                !spawn().map_err(|e| e.to_string())?.wait().await.map_err(|e| e.to_string())?.success(),
            );
        }
        Ok::<usize, String>(failures)
    };
    let lanes: Vec<_> = (0..concurrency).map(|number| local.spawn_local(lane(number))).collect();
    local
        .run_until(async {
            let mut failures = 0;
            for lane in lanes {
                failures += lane.await??;
            }
            Ok(failures)
        })
        .await
}

/// The oldest is waited for when there are enough.
fn run_blocking(count: usize, concurrency: usize) -> Result<usize, Box<dyn std::error::Error>> {
    let mut running = std::collections::VecDeque::new();
    let mut failures = 0;
    let mut bury = |child: Option<Child>| -> std::io::Result<()> {
        if let Some(mut child) = child {
            let exit: Exit = child.wait_blocking()?;
            failures += usize::from(!exit.success());
        }
        Ok(())
    };
    for _ in 0..count {
        if running.len() == concurrency {
            bury(running.pop_front())?;
        }
        running.push_back(spawn()?);
    }
    running.into_iter().try_for_each(|child| bury(Some(child)))?;
    Ok(failures)
}
