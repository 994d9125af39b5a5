//! Thousands of random lives of an application, in virtual time, each from a seed.
//!
//! `world.rs` plays the driver and the processes: they crash, start slowly or never, hang, lose answers and refuse to die, while
//! somebody reloads, restarts, recycles, scales, reconfigures, stops and starts, and the driver itself dies and is resumed. `rules.rs` checks what must hold after every step; `tally.rs` counts. Each life has three parts:
//! chaos; then nothing fails any more and what is wanted must come to run; then a last stop. A failing seed is named in the panic;
//! `SIMULATION_SEED=<seed> cargo test -p stead-supervisor --test simulation` repeats it alone.

mod rules;
mod tally;
mod world;

use std::panic::{self, AssertUnwindSafe};

use crate::tally::Tally;
use crate::world::World;

const SEEDS: u64 = 4000;

#[test]
fn every_life_keeps_the_rules() {
    let only =
        std::env::var("SIMULATION_SEED").ok().map(|seed| seed.parse::<u64>().expect("the seed is a number"));
    let seeds = only.map_or(0..SEEDS, |seed| seed..seed + 1);
    let mut tally = Tally::default();
    for seed in seeds {
        let life = panic::catch_unwind(AssertUnwindSafe(|| World::new(seed).live()));
        match life {
            Ok(seen) => tally.add(&seen),
            Err(_) => panic!("simulation failed; repeat it with SIMULATION_SEED={seed}"),
        }
    }
    println!("{tally:?}");
    // A simulation in which nothing happens proves nothing.
    if only.is_none() {
        assert!(tally.is_complete(), "not everything happened: {tally:?}");
    }
}
