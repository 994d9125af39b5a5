"""(i) The manager itself is replaced by a new version, under load, again and again."""

import statistics
import time

from .. import load
from ..contenders import Pm2, Program, Stead
from .base import STEAD, Column, Scenario, figure, none

CLIENTS = 50
PAUSE_SECONDS = 0.5
KEEP, CLOSE = "keep-alive", "connection per request"


def measure(row):
    """The account of every request while one upgrade follows the other."""
    contender = row.contend(Program("hello", graceful=True))
    contender.serve()
    if row.contender is Pm2:
        contender.run(["save"], 20)
    running = load.Load(
        row.processes,
        row.setting.tools.load,
        contender.port,
        CLIENTS,
        row.setting.seconds,
        keep_alive=row.load == KEEP,
    )
    durations = []
    ends = time.monotonic() + row.setting.seconds
    time.sleep(PAUSE_SECONDS)
    while time.monotonic() < ends:
        started = time.monotonic()
        contender.upgrade()
        durations.append(time.monotonic() - started)
        time.sleep(PAUSE_SECONDS)
    metrics = running.finish() | {"upgrades": len(durations)}
    if durations:
        metrics["upgrade_ms"] = statistics.median(durations) * 1000
    return metrics


def goals(figures):
    """Nothing lost."""
    return [none(f"nothing lost, {kind}", figure(figures, kind, STEAD, "failed")) for kind in (KEEP, CLOSE)]


SCENARIO = Scenario(
    letter="i",
    title="Upgrade of the manager under load",
    about=(
        f"The manager is replaced by a new version of itself, with a pause of {PAUSE_SECONDS:g} s after each, for as long as the load "
        f"lasts ({CLIENTS} clients without pause, `stead-load`). `stead upgrade`: a daemon takes over from the one before, the workers "
        "go on. `pm2 update`: the daemon and all copies end, and are started again."
    ),
    contenders=(Pm2, Stead),
    columns=(
        Column("failed", "lost", how="sum"),
        Column("requests", "of", how="sum"),
        Column("class:", "by class", how="classes"),
        Column("upgrades", "upgrades", how="sum"),
        Column("upgrade_ms", "one upgrade ms"),
        Column("p50_ms", "p50 ms", digits=1),
        Column("p99_ms", "p99 ms", digits=1),
        Column("max_gap_ms", "longest gap ms", how="worst"),
    ),
    measure=measure,
    goals=goals,
    loads={KEEP: "Kept connections", CLOSE: "A connection per request"},
)
