"""(o) How many children can be started and waited for, by C, Node.js, Python, and Stead's library."""

from dataclasses import dataclass

from ..contenders import Command
from ..parts import Compiled, Example
from ..tools import APPS
from .base import STEAD, Column, Scenario, at_least, figure

# Of the seconds of a load: a spawn takes a fraction of a millisecond.
SHARE = 0.2
PATIENCE_SECONDS = 30
# About as many as there will be.
CHILDREN_PER_SECOND = 2500
PART_OF_C = 0.9
TIMES_NODE = 3
AT_ONCE = {"one_per_s": 1, "four_per_s": 4}

C_PROGRAM = Compiled("spawn_rate")
LIBRARY = Example("stead-process", "spawn_rate")


def c(how):
    """A C program that does nothing else."""
    return Command("c", f"C, `{how}`", lambda tools: [tools.path(C_PROGRAM), how], ("cc",), (C_PROGRAM,))


def node(how):
    """Node.js's child_process."""
    return Command("node", f"Node.js `{how}`", lambda _: ["node", APPS / "spawn_rate.js", how], ("node",))


@dataclass(frozen=True)
class Library(Command):
    """stead-process (crates/process/examples/spawn_rate.rs), which is told how many children, not for how long."""

    form: str = ""

    def figures(self, row, more_words, limit, cores=None):
        seconds, at_once = more_words
        return super().figures(row, [round(seconds * CHILDREN_PER_SECOND), at_once, self.form], limit, cores)


def stead(form):
    """A Rust program."""
    return Library("stead", f"{STEAD}, {form}", lambda tools: [tools.path(LIBRARY)], parts=(LIBRARY,), form=form)


C = (c("vfork"), c("posix_spawn"))
NODE, NODE_SYNC = node("spawn"), node("spawnSync")
PYTHON = Command("python", "Python `subprocess`", lambda _: ["python3", APPS / "spawn_rate.py"], ("python3",))
OURS = (stead("async"), stead("blocking"))


def measure(row):
    """One at a time, and four."""
    seconds = row.setting.seconds * SHARE
    return {
        metric: row.contender.figures(row, [seconds, at_once], seconds + PATIENCE_SECONDS)["per_s"]
        for metric, at_once in AT_ONCE.items()
        # A call that waits for the end of its child has never more than one.
        if at_once == 1 or row.contender is not NODE_SYNC
    }


def goals(figures):
    """Hardly slower than C, and far faster than Node.js."""
    names = {"one_per_s": "one at a time", "four_per_s": "four at a time"}

    def goal(text, ours, metric, peers, times):
        found = [figure(figures, "", peer.label, metric) for peer in peers]
        best = max((value for value in found if value is not None), default=None)
        return at_least(
            f"{ours.label.replace('*', '')}, {names[metric]}: {text}",
            figure(figures, "", ours.label, metric),
            None if best is None else best * times,
            "/s",
        )

    return [
        *(goal(f"at least {PART_OF_C} of the better C", one, metric, C, PART_OF_C) for one in OURS for metric in names),
        *(goal(f"at least {TIMES_NODE} times Node.js", OURS[0], metric, [NODE], TIMES_NODE) for metric in names),
        goal(f"at least {TIMES_NODE} times `spawnSync`", OURS[1], "one_per_s", [NODE_SYNC], TIMES_NODE),
    ]


SCENARIO = Scenario(
    letter="o",
    title="Starting processes",
    about=(
        "Children that do nothing (`/bin/true`, no output kept), started and waited for, as many per second as go: each program in "
        "a loop of its own, with one child alive at a time, and with four."
    ),
    contenders=(*C, PYTHON, NODE, NODE_SYNC, *OURS),
    columns=(Column("one_per_s", "one at a time/s"), Column("four_per_s", "four at a time/s")),
    measure=measure,
    goals=goals,
)
