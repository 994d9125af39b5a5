"""(j) A hundred apps: how long their start takes, and the list of them."""

import json
import statistics
import time

from .. import answers
from ..contenders import Pm2, Program, SteadInBackground
from ..processes import Failure, free_port
from .base import Column, Scenario, at_most, figure

APPS = 100
LISTS = 5
LIMIT_SECONDS = 150
LIST_LIMIT_MS = 20


def measure(row):
    """From the command until each of the apps answers, and then the table of them."""
    contender = row.contend(Program("hello"))
    contender.program.environment(contender.folder)
    ports = [free_port() for _ in range(APPS)]
    path = _write(contender.folder, contender.program.path, ports)
    started = time.monotonic()
    contender.run(["start", path], LIMIT_SECONDS)
    told = time.monotonic()
    for port in ports:
        answers.first_answer(port)
    served = time.monotonic()
    lists = []
    for _ in range(LISTS):
        begun = time.monotonic()
        text = contender.run(["list"], LIMIT_SECONDS)
        lists.append(time.monotonic() - begun)
        if "app-99" not in text:
            raise Failure(f"the list does not show all apps: {text[-300:]}")
    contender.run(["kill"], LIMIT_SECONDS)
    return {
        "told_s": told - started,
        "served_s": served - started,
        "list_ms": statistics.median(lists) * 1000,
        "list_ms_max": max(lists) * 1000,
    }


def _write(folder, script, ports):
    """One file that both understand."""
    apps = [
        {"name": f"app-{number}", "script": script, "exec_mode": "fork", "env": {"PORT": str(port)}}
        for number, port in enumerate(ports)
    ]
    path = folder / "ecosystem.json"
    path.write_text(json.dumps({"apps": apps}))
    return path


def goals(figures):
    """A list is there before one has looked."""
    value = figure(figures, "", SteadInBackground.label, "list_ms")
    return [at_most(f"`stead list` of {APPS} apps within {LIST_LIMIT_MS} ms", value, LIST_LIMIT_MS, " ms")]


SCENARIO = Scenario(
    letter="j",
    title="A hundred apps",
    about=(
        f"One ecosystem file with {APPS} apps of one process each, started in the background by `start FILE`: until the command says so, and "
        f"until each of them has answered. Then the table, {LISTS} times; the time is that of the whole command."
    ),
    contenders=(Pm2, SteadInBackground),
    columns=(
        Column("told_s", "command s", digits=1),
        Column("served_s", "all answer s", digits=1),
        Column("list_ms", "`list` ms"),
        Column("list_ms_max", "slowest ms", how="worst"),
    ),
    measure=measure,
    goals=goals,
)
