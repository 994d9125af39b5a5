"""(p) Messages between a program and its children: Node.js, Stead's library, and the bare sockets under both."""

import os
from dataclasses import dataclass

from ..contenders import Command
from ..parts import Compiled, Example
from ..tools import APPS
from .base import STEAD, Column, Goal, Scenario, at_least, figure

# Of the seconds of a load; each row is four measurements.
SHARE = 0.05
PATIENCE_SECONDS = 30
SIZES = {"100 B": 100, "10 kB": 10_240}
ONE_CORE, ALL_CORES = "one core", "all cores"
MODES = {"one_per_s": "rtt", "window_per_s": "inflight", "oneway_per_s": "oneway", "broadcast_per_s": "broadcast"}
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


@dataclass(frozen=True)
class Library(Command):
    """stead-process (crates/process/examples/ipc_rate.rs), which measures one thing at a time."""

    form: str = "raw"
    # How many times as long as the others: a new child for each of the four has to get warm each time.
    times: int = 1

    def measure(self, row, size, seconds, cores):
        """All four."""
        measured, seconds = {}, seconds * self.times
        for metric, mode in MODES.items():
            words = [mode, size, seconds, self.form]
            measured[metric] = self.figures(row, words, PATIENCE_SECONDS + seconds, cores)["per_s"]
        return measured


def stead(end, label, form, times=1):
    """A Rust program with a child: another one, or a plain Node.js program."""

    def words(tools):
        return [tools.path(LIBRARY), end]

    return Library("stead", f"{STEAD} {label}", words, parts=(LIBRARY,), form=form, times=times)


ASYNC, BLOCKING = (stead(end, f"to Rust, {what}", "raw") for end, what in (("rust", "async"), ("blocking", "blocking")))
TYPED = stead("rust", "to Rust, async, encoded and parsed", "typed")
TO_NODE = {
    how: stead(end, f"to Node.js, {how}", "typed", times=3)
    for how, end in zip(SERIALIZATIONS, ("node", "node-advanced"), strict=True)
}


def measure(row):
    """One size, with as many cores."""
    size, _, place = row.load.partition(", ")
    seconds = row.setting.seconds * SHARE
    cores = [max(os.sched_getaffinity(0))] if place == ONE_CORE else None
    if isinstance(row.contender, Library):
        return row.contender.measure(row, SIZES[size], seconds, cores)
    return row.contender.figures(row, [SIZES[size], seconds], PATIENCE_SECONDS + seconds * len(MODES), cores)


def goals(figures):
    """Near the bare sockets, and ahead of Node.js with Rust at one end only."""
    return [
        *(_near_c(figures, size, one) for one in (BLOCKING, ASYNC) for size in SIZES),
        *(_ahead_of_node(figures, size, how) for how in SERIALIZATIONS for size in SIZES),
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
    text = f"{_plain(TO_NODE[how])}, {size}: each at least {TIMES_NODE} times Node.js to Node.js"
    ratios = []
    for metric in MODES:
        mine, theirs = (figure(figures, load, one.label, metric) for one in (TO_NODE[how], NODE[how]))
        if mine is None or not theirs:
            return Goal(text, "not measured", None)
        ratios.append(mine / theirs)
    return Goal(text, ", ".join(f"{ratio:.2f}" for ratio in ratios), min(ratios) >= TIMES_NODE)


def _plain(contender):
    return contender.label.replace("*", "")


SCENARIO = Scenario(
    letter="p",
    title="Messages between processes",
    about=(
        "A parent and its child on a channel of messages: round trips with one on its way and with 64, messages to a child that only "
        "counts, and the same to eight children, each message to all (deliveries are counted). Objects with a string of that size, as "
        "JSON or in Node.js's *advanced* serialization. The bare sockets carry as many bytes, one write each, and nobody looks into "
        "them; nor does anybody into Stead's to Rust, except for the row that says so. On one core it is the work that is measured, on "
        "all cores also how long one takes to wake up."
    ),
    contenders=(C, *NODE.values(), BLOCKING, ASYNC, TYPED, *TO_NODE.values()),
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
