"""What scenarios share that do something to the manager or the copies, again and again, while clients ask without pause."""

import statistics
import time

from .. import load
from .base import STEAD, Column, figure, none

CLIENTS = 50
KEEP, CLOSE = "keep-alive", "connection per request"
LOADS = {KEEP: "Kept connections", CLOSE: "A connection per request"}


def account(row, contender, disturb, noun, pause_seconds):
    """The account of every request while `disturb` is done for as long as the load lasts; `noun` names one time of it."""
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
    time.sleep(pause_seconds)
    while time.monotonic() < ends:
        started = time.monotonic()
        disturb()
        durations.append(time.monotonic() - started)
        time.sleep(pause_seconds)
    metrics = running.finish() | {f"{noun}s": len(durations)}
    if durations:
        metrics[f"{noun}_ms"] = statistics.median(durations) * 1000
    return metrics


def columns(noun):
    """Of the table."""
    return (
        Column("failed", "lost", how="sum"),
        Column("requests", "of", how="sum"),
        Column("class:", "by class", how="classes"),
        Column(f"{noun}s", f"{noun}s", how="sum"),
        Column(f"{noun}_ms", f"one {noun} ms"),
        Column("p50_ms", "p50 ms", digits=1),
        Column("p99_ms", "p99 ms", digits=1),
        Column("max_gap_ms", "longest gap ms", how="worst"),
    )


def goals(figures):
    """Nothing lost."""
    return [none(f"nothing lost, {kind}", figure(figures, kind, STEAD, "failed")) for kind in LOADS]
