//! A program that is run to its end hands over all it wrote, or says why not. Async and blocking forms alike.

use std::time::Duration;

use stead_process::child::{CancelToken, Cause, Command, ExecError, Output, blocking, exec, exec_file};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap()
}

/// Both forms have the same outcome.
#[track_caller]
fn check(command: impl Fn() -> Command, judge: impl Fn(Result<Output, ExecError>)) {
    judge(command().exec_blocking());
    judge(runtime().block_on(command().exec()));
}

fn shell(line: &str, say: impl Fn(&mut Command) -> &mut Command) -> impl Fn() -> Command {
    move || {
        let mut command = Command::shell(line);
        say(&mut command);
        command
    }
}

#[test]
fn both_streams_are_collected_however_much_they_hold() {
    let line = "head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2";
    check(shell(line, |c| c), |result| {
        let output = result.unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (300_000, 200_000));
    });
}

#[test]
fn a_failure_has_all_of_the_output() {
    check(shell("echo out; echo err >&2; exit 3", |c| c), |result| {
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), "`/bin/sh` failed (exit code 3)");
        assert_eq!(error.output().unwrap().stderr, b"err\n");
    });
    check(shell("kill -9 $$", |c| c), |result| {
        assert_eq!(result.unwrap_err().to_string(), "`/bin/sh` failed (killed by SIGKILL)");
    });
}

#[test]
fn whoever_writes_too_much_is_ended_and_the_beginning_is_kept() {
    let endless = || {
        let mut command = Command::new("yes");
        command.max_buffer(10);
        command
    };
    check(endless, |result| {
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), "`yes` was ended: it wrote too much");
        assert_eq!(error.output().unwrap().stdout, b"y\ny\ny\ny\ny\n");
    });
    check(shell("printf 0123456789", |c| c.max_buffer(10)), |result| {
        assert_eq!(result.unwrap().stdout, b"0123456789");
    });
    // It has ended by itself when its output is read.
    check(shell("printf 0123456789", |c| c.max_buffer(9)), |result| {
        let error = result.unwrap_err();
        assert!(matches!(error, ExecError::Ended { cause: Cause::MaxBuffer, .. }), "{error}");
        assert_eq!(error.output().unwrap().stdout, b"012345678");
    });
}

#[test]
fn input_is_fed_while_output_is_read() {
    let input = vec![b'x'; 500_000];
    let copy = || {
        let mut command = Command::new("cat");
        command.input(input.clone());
        command
    };
    check(copy, |result| assert_eq!(result.unwrap().stdout, input));
    // The program does not want it; that is its own affair.
    check(shell("exec true", |c| c.input(input.clone())), |result| assert!(result.is_ok()));
}

#[test]
fn what_takes_too_long_is_not_waited_for() {
    let line = "sleep 1000 & wait";
    check(shell(line, |c| c.timeout(Duration::from_millis(20))), |result| {
        assert!(matches!(result, Err(ExecError::Ended { cause: Cause::Timeout, .. })), "{result:?}");
    });
}

#[test]
fn a_cancelled_token_ends_it_or_keeps_it_from_starting() {
    let token = CancelToken::new();
    let running = std::thread::spawn({
        let token = token.clone();
        move || Command::new("sleep").arg("1000").cancel_token(&token).output_blocking()
    });
    token.cancel();
    assert!(running.join().unwrap().is_err());
    let error = Command::new("true").cancel_token(&token).output_blocking().unwrap_err();
    assert_eq!(error.to_string(), "`true` was ended: it was cancelled");
    let error = Command::new("true").cancel_token(&token).spawn().unwrap_err();
    assert_eq!(error.to_string(), "program `true` could not be started (while preparing it)");
}

#[test]
fn short_forms_do_what_they_say() {
    assert_eq!(blocking::exec("echo $((1 + 1))").unwrap().stdout, b"2\n");
    assert_eq!(blocking::exec_file("echo", ["$((1 + 1))"]).unwrap().stdout, b"$((1 + 1))\n");
    runtime().block_on(async {
        assert_eq!(exec("echo $((1 + 1))").await.unwrap().stdout, b"2\n");
        assert_eq!(exec_file("echo", ["$((1 + 1))"]).await.unwrap().stdout, b"$((1 + 1))\n");
    });
}

#[test]
fn all_that_waits_may_move_between_threads() {
    fn check(_: impl Send) {}
    let mut child = Command::new("true").spawn().unwrap();
    check(child.events().next());
    check(child.wait());
    check(Command::new("true").output());
    check(Command::new("true").pipe(&mut Command::new("true")).output());
    check(exec("true"));
}
