"""(p) Messages between a program and its children: Node.js, Stead's library, and the bare sockets under both."""

import os

from ..contenders import Command
from ..parts import Compiled, Example
from ..tools import APPS
from .base import STEAD, Column, Goal, Scenario, at_least, figure

# Of the seconds of a load; each row is four measurements.
SHARE = 0.05
PATIENCE_SECONDS = 30
SIZES = {"100 B": 100, "10 kB": 10_240}
ONE_CORE, ALL_CORES = "one core", "all cores"
METRICS = ("one_per_s", "window_per_s", "oneway_per_s", "broadcast_per_s")
PART_OF_C = 0.8
TIMES_NODE = 1.2
SERIALIZATIONS = ("json", "advanced")

C_PROGRAM = Compiled("ipc_rate")
LIBRARY = Example("stead-process", "ipc_rate")

C = Command("c", "bare socket pair (C)", lambda tools: [tools.path(C_PROGRAM)], ("cc", "taskset"), (C_PROGRAM,))
NODE = {
    how: Command("node", f"Node.js to Node.js, {how}", lambda _, how=how: ["node", APPS / "ipc_rate.js", how], ("node",))
    for how in SERIALIZATIONS
}


def stead(mode, label, *child):
    """A Rust program that uses stead-process (crates/process/examples/ipc_rate.rs)."""
    return Command("stead", f"{STEAD} {label}", lambda tools: [tools.path(LIBRARY), mode], (), (LIBRARY,), child)


RUST = (stead("async", "to Rust, async"), stead("blocking", "to Rust, blocking"))
TO_NODE = {
    how: stead(f"node-{how}", f"to Node.js, {how}", APPS / "ipc_child.js") for how in SERIALIZATIONS
}


def measure(row):
    """One size, with as many cores."""
    size, _, place = row.load.partition(", ")
    seconds = row.setting.seconds * SHARE
    cores = [max(os.sched_getaffinity(0))] if place == ONE_CORE else None
    words = [SIZES[size], seconds]
    return row.contender.figures(row, words, PATIENCE_SECONDS + seconds * len(METRICS), cores)


def goals(figures):
    """Near the bare sockets, and ahead of Node.js wherever it is at one end only."""
    return [
        *(_near_c(figures, size, one) for size in SIZES for one in RUST),
        *(_ahead_of_node(figures, size, how) for size in SIZES for how in SERIALIZATIONS),
    ]


def _near_c(figures, size, ours):
    load = f"{size}, {ONE_CORE}"
    bare = figure(figures, load, C.label, "one_per_s")
    return at_least(
        f"{_plain(ours)}, {size}: round trips one at a time at least {PART_OF_C} of a bare socket pair",
        figure(figures, load, ours.label, "one_per_s"),
        None if bare is None else bare * PART_OF_C,
        "/s",
    )


def _ahead_of_node(figures, size, how):
    load = f"{size}, {ONE_CORE}"
    ratios = {}
    for metric in METRICS:
        mine, theirs = (figure(figures, load, one.label, metric) for one in (TO_NODE[how], NODE[how]))
        if mine is not None and theirs:
            ratios[metric] = mine / theirs
    text = f"{_plain(TO_NODE[how])}, {size}: all four at least {TIMES_NODE} times Node.js to Node.js"
    if len(ratios) < len(METRICS):
        return Goal(text, "not measured", None)
    measured = ", ".join(f"{ratio:.2f}" for ratio in ratios.values())
    return Goal(text, measured, min(ratios.values()) >= TIMES_NODE)


def _plain(contender):
    return contender.label.replace("*", "")


SCENARIO = Scenario(
    letter="p",
    title="Messages between processes",
    about=(
        "A parent and its child on a channel of messages: round trips with one on its way and with 64, messages to a child that only counts, and "
        "the same to eight children, each message to all (deliveries are counted). JSON objects with a string of that size, lines or Node.js's *advanced* "
        "serialization; the bare sockets carry as many bytes and no objects. On one core it is the work that is measured, on all cores also "
        "how long a core takes to wake up."
    ),
    contenders=(C, *NODE.values(), *RUST, *TO_NODE.values()),
    columns=(
        Column("one_per_s", "one at a time/s"),
        Column("window_per_s", "64 on their way/s"),
        Column("oneway_per_s", "one way/s"),
        Column("broadcast_per_s", "to eight/s"),
    ),
    measure=measure,
    goals=goals,
    loads={
        f"{size}, {place}": f"{size}, parent and children on {place}" for size in SIZES for place in (ONE_CORE, ALL_CORES)
    },
)
