//! Programs in a row: each reads the one before, and each has its own end.

use stead_process::child::{Command, ExecError, Pipeline, PipelineOutput, SpawnError};

#[track_caller]
fn check(pipeline: impl Fn() -> Pipeline, judge: impl Fn(PipelineOutput)) {
    judge(pipeline().output_blocking().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    judge(runtime.block_on(pipeline().output()).unwrap());
}

fn codes(output: &PipelineOutput) -> Vec<Option<i32>> {
    output.exits.iter().map(|exit| exit.code).collect()
}

#[test]
fn each_has_its_exit_state_and_its_complaints() {
    let pipeline = || {
        Command::shell("echo 1; echo one >&2; exit 1")
            .pipe(&mut Command::shell("cat; echo 2; exit 2"))
            .pipe(&mut Command::shell("cat; echo 3; echo three >&2"))
    };
    check(pipeline, |output| {
        assert_eq!(codes(&output), [Some(1), Some(2), Some(0)]);
        assert_eq!(output.stdout, b"1\n2\n3\n");
        assert_eq!(output.stderr, [b"one\n".to_vec(), Vec::new(), b"three\n".to_vec()]);
        assert!(!output.success());
    });
}

#[test]
fn who_writes_to_nobody_ends() {
    check(
        || Command::new("yes").pipe(Command::new("head").args(["-n", "1"])),
        |output| {
            assert_eq!(output.stdout, b"y\n");
            assert_eq!(output.exits[0].signal, Some(13), "SIGPIPE");
        },
    );
}

#[test]
fn input_goes_through_all() {
    let input = "b\na\n".repeat(50_000);
    let pipeline = || {
        Command::new("cat")
            .input(input.clone())
            .pipe(&mut Command::new("sort"))
            .pipe(Command::new("uniq").arg("-c"))
    };
    check(pipeline, |output| {
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["50000", "a", "50000", "b"]);
    });
}

#[test]
fn if_one_cannot_start_none_goes_on() {
    let pipeline = Command::new("sleep").arg("1000").pipe(&mut Command::new("no-such-program"));
    let error = pipeline.output_blocking().unwrap_err();
    assert!(matches!(error, ExecError::Spawn(SpawnError::NotFound { .. })), "{error}");
}
