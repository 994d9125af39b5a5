//! How many children a second can be started and waited for.
//!
//! Usage: spawn_rate COUNT CONCURRENCY async|blocking
//!
//! Runs `/bin/true` COUNT times, CONCURRENCY at once, without environment and with `/dev/null` as streams, and prints one
//! JSON object.

use std::io::Write;
use std::time::Instant;

use stead_process::child::{Child, Command, SpawnError, Stdio};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
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

fn spawn() -> Result<Child, SpawnError> {
    let mut command = Command::new("/bin/true");
    command.env_clear().stdin(Stdio::Null).stdout(Stdio::Null).stderr(Stdio::Null).spawn()
}

/// A task for each child that may run at once.
async fn run(count: usize, concurrency: usize) -> Result<usize, Failure> {
    let local = tokio::task::LocalSet::new();
    let lane = |lane: usize| async move {
        let mut failures = 0;
        for _ in (lane..count).step_by(concurrency) {
            failures += usize::from(!spawn()?.wait().await?.success());
        }
        Ok::<usize, Failure>(failures)
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

/// A thread for each child that may run at once.
fn run_blocking(count: usize, concurrency: usize) -> Result<usize, Failure> {
    let lane = |lane: usize| -> Result<usize, std::io::Error> {
        let mut failures = 0;
        for _ in (lane..count).step_by(concurrency) {
            failures += usize::from(!spawn().map_err(std::io::Error::other)?.wait_blocking()?.success());
        }
        Ok(failures)
    };
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..concurrency).map(|number| scope.spawn(move || lane(number))).collect();
        lanes.into_iter().map(|lane| Ok(lane.join().expect("a lane does not panic")?)).sum()
    })
}
