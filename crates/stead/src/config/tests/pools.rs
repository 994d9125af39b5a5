//! `[pool.NAME]`: what it has of its own, what it shares with apps, and what it cannot have.

use super::*;
use crate::config::PoolSettings;
use std::time::Duration;

fn pool(text: &str) -> PoolSettings {
    let folder = folder();
    folder.file("resize.js", "");
    let text = format!("[pool.resize]\ncommand = \"node resize.js\"\n{text}\n");
    let mut settings = load_file(&folder, &text, "").unwrap_or_else(|error| panic!("{error}\n{text}"));
    let app = settings.apps.pop().expect("the pool is there");
    let pool = app.pool.expect("it is a pool");
    assert_eq!(app.instances, pool.size.0);
    pool
}

#[test]
fn a_pool_has_settings_of_its_own_and_those_of_an_app() {
    let plain = pool("");
    assert_eq!((plain.concurrency, plain.retries, plain.poison_deaths_max), (None, 0, 2));
    assert!(!plain.adapts());
    let settings =
        pool("size = { min = 1, max = 3 }\nconcurrency = 4\ntask_timeout = \"2s\"\ngrace = \"1s\"");
    assert_eq!(settings.size, (1, 3));
    assert!(settings.adapts());
    assert_eq!(settings.concurrency, Some(4));
    assert_eq!(settings.task_timeout, Some(Duration::from_secs(2)));
    assert_eq!(pool("size = 7").size, (7, 7));
    assert_eq!(pool("size = { max = 2 }").size, (1, 2));
    assert_eq!(pool("poison_deaths_max = 5").poison_deaths_max, 5);
    pool("schedule.tick = { cron = \"* * * * *\", task = 1 }");
}

#[test]
fn more_fewer_workers_than_there_are_cores_are_noted() {
    let folder = folder();
    folder.file("resize.js", "");
    let notes = |size: &str| {
        let text = format!("[pool.resize]\ncommand = \"node resize.js\"\nsize = {size}\n");
        load_file(&folder, &text, "").expect("it is valid").notes.len()
    };
    assert_eq!([notes("-1000"), notes("{ max = -1000 }"), notes("-1"), notes("\"max\"")], [1, 1, 0, 0]);
    let of = |more: &str| {
        load(&folder, &format!("resize.js --pool --set size=-1000 {more}")).expect("it is valid").notes
    };
    assert!(of("")[0].starts_with("pool `resize` has one worker"), "{:?}", of(""));
    assert!(of("-n small")[0].contains("`small`"), "{:?}", of("-n small"));
    assert_eq!(of("-i 4"), Vec::<String>::new());
}

#[test]
fn what_a_pool_cannot_have_is_told() {
    let cases = [
        "listen = 8080",
        "instances = 4",
        "ready = \"tcp\"",
        "balance = \"fastest\"",
        "health = \"tcp\"",
        "size = { min = 3, max = 2 }",
        "size = { min = 0, max = 2 }",
        "size = 0",
        "size = \"0\"",
        "size = 2000",
        "size = { least = 3 }",
        "schedule.tick = { cron = \"* * * * *\", message = 1 }",
        "concurrency = 0",
        "concurrency = \"many\"",
        "task_timout = \"1s\"",
    ];
    let folder = folder();
    folder.file("resize.js", "");
    let mut page = String::new();
    for case in cases {
        let text = format!("[pool.resize]\ncommand = \"node resize.js\"\n{case}\n");
        let error = load_file(&folder, &text, "").expect_err(case);
        page += &format!("{}\n", report(&folder, &error));
    }
    for text in [
        "[pool.resize]\nsize = 2\n",
        "pool = 2\n",
        "[app.shop]\ncommand = \"node resize.js\"\n[pool.shop]\ncommand = \"node resize.js\"\n",
    ] {
        let error = load_file(&folder, text, "").expect_err(text);
        page += &format!("{}\n", report(&folder, &error));
    }
    insta::assert_snapshot!("pools", page);
}

#[test]
fn a_command_line_alone_makes_a_pool() {
    let folder = folder();
    folder.file("resize.js", "");
    let app = |line: &str| {
        let mut settings = load(&folder, line).unwrap_or_else(|error| panic!("{error}: {line}"));
        settings.apps.pop().expect("the pool is there")
    };
    let pool = app("resize.js --pool");
    assert_eq!((pool.name.as_str(), pool.pool.is_some(), pool.program.is_node), ("resize", true, true));
    let pool = app("--pool -i 3 -n small 'python3 -m resize' --set retries=2 --set concurrency=4");
    let settings = pool.pool.expect("it is a pool");
    assert_eq!((pool.name.as_str(), pool.instances, settings.size), ("small", 3, (3, 3)));
    assert_eq!((settings.retries, settings.concurrency), (2, Some(4)));
    let size = "--set 'size={ min = 1, max = 3 }'";
    assert_eq!(app(&format!("resize.js --pool {size}")).pool.expect("it is a pool").size, (1, 3));
    let words: Vec<_> = arguments("resize.js --pool -i 3").words();
    assert!(RunArguments::from_words(words).expect("they are words of its own").pool);
}

#[test]
fn what_goes_not_together_with_a_pool_of_the_command_line_is_told() {
    let folder = folder();
    folder.file("resize.js", "");
    folder.file("apps.toml", "[app.shop]\ncommand = \"node resize.js\"\n");
    let mut page = String::new();
    for line in ["--pool apps.toml", "--pool resize.js --set ready=tcp", "--pool resize.js --set siz=3"] {
        let error = load(&folder, line).expect_err(line);
        page += &format!("{line}\n{}\n", report(&folder, &error));
    }
    insta::assert_snapshot!("pool_of_the_command_line", page);
}
