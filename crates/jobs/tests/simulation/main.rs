//! Thousands of lives of a pool, with virtual time and a seed: workers die, hang and come back, tasks fail, are cancelled and take too
//! long, the process with the pool is killed and begins again from its journal. A failure prints its seed.
//!
//! After each step: a task is in one pair of hands at most and no outcome comes twice; of one key one task at a time, in order; no hand
//! and no queue is fuller than it may be. In the end: each accepted task has exactly one outcome, and only what kills workers is poison.

mod world;

use world::World;

/// Lives per run; `SIMULATIONS=100000` makes it more.
const LIVES: u64 = 1500;
/// Steps of trouble in each, before it may end in peace.
const STEPS: u32 = 250;

#[test]
fn each_task_has_exactly_one_outcome_whatever_dies() {
    let lives = std::env::var("SIMULATIONS").ok().and_then(|lives| lives.parse().ok()).unwrap_or(LIVES);
    let first = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let mut total = world::Total::default();
    for seed in first..first + lives {
        // The assertion that fails prints where; this says which life it was.
        let life = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            (0..STEPS).for_each(|_| world.step());
            world.end_in_peace();
            world.total()
        });
        match life {
            Ok(life) => total.add(&life),
            Err(_) => panic!("failed with SEED={seed} SIMULATIONS=1"),
        }
    }
    // A simulation in which something never happens proves nothing about it.
    assert!(total.done > lives * 10 && total.failed > lives && total.cancelled > lives, "{total:?}");
    assert!(total.poison > lives / 10 && total.restarts > lives && total.kills > lives / 2, "{total:?}");
    assert!(total.timeouts > lives / 10 && total.refused > lives && total.held > lives / 2, "{total:?}");
}
