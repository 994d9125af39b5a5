//! "One of my workers lives, and fails every request. It must not be asked again and again."

use std::time::Duration;

use crate::support::{Stead, alone, beside, eventually, get, node};

fn replayed(stead: &Stead) -> u64 {
    stead.status().of("slot").counter("replayed")
}

#[test]
fn a_worker_that_fails_five_times_in_a_row_is_given_nothing_for_a_while() {
    let _turn = alone();
    let stead = Stead::script(node("slot.js")).instances(3).start();
    let broken = get(stead.port, "/break").json()["slot"].as_u64().expect("a number");
    // Each of these is answered by another one; it takes the fifth until the broken one is left alone.
    for _ in 0..60 {
        assert_ne!(get(stead.port, "/").json()["slot"].as_u64(), Some(broken));
    }
    assert_eq!(replayed(&stead), 5);
    // After 5 s it is tried again, and fails again.
    eventually("it gets another chance", Duration::from_secs(20), || {
        get(stead.port, "/");
        (replayed(&stead) > 5).then_some(())
    });
}

#[test]
fn an_app_of_one_worker_is_served_however_it_fails() {
    let _turn = beside();
    let stead = Stead::script(node("slot.js")).instances(1).set("replays_max", "0").start();
    get(stead.port, "/break");
    for _ in 0..8 {
        let mut client = crate::support::Client::connect(stead.port);
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(client.answer().status, 502, "the worker is asked each time");
    }
}
