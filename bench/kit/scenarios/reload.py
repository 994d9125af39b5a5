"""(d) Replacing all copies under load, again and again."""

import statistics
import time

from .. import load
from ..contenders import Cluster, HaProxyRetry, NginxNextUpstream, Pm2, Program, Stead
from .base import STEAD, Column, Scenario, figure, none

CLIENTS = 50
PAUSE_SECONDS = 0.3
KEEP, CLOSE = "keep-alive", "connection per request"


def measure(row):
    """The account of every request while one reload follows the other."""
    contender = row.contend(Program("hello", graceful=True, dies=True))
    contender.serve()
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
        contender.replace_workers()
        durations.append(time.monotonic() - started)
        time.sleep(PAUSE_SECONDS)
    metrics = running.finish() | {"reloads": len(durations)}
    if durations:
        metrics["reload_ms"] = statistics.median(durations) * 1000
    return metrics


def goals(figures):
    """Nothing lost."""
    return [none(f"nothing lost, {kind}", figure(figures, kind, STEAD, "failed")) for kind in (KEEP, CLOSE)]


SCENARIO = Scenario(
    letter="d",
    title="Reload under load",
    about=(
        f"All copies are replaced one by one, with a pause of {PAUSE_SECONDS:g} s after each round, for as long as the load lasts "
        f"({CLIENTS} clients without pause, `stead-load`): latencies are those *during* reloads. Each contender does it its own way: "
        "`stead reload`, `pm2 reload`, in the cluster a new worker before the old one disconnects. Copies behind NGINX "
        "and HAProxy get SIGTERM, finish what they have (`server.close()`), and are started again by a loop in a shell."
    ),
    contenders=(Cluster, Pm2, NginxNextUpstream, HaProxyRetry, Stead),
    columns=(
        Column("failed", "lost", how="sum"),
        Column("requests", "of", how="sum"),
        Column("class:", "by class", how="classes"),
        Column("reloads", "reloads", how="sum"),
        Column("reload_ms", "one reload ms"),
        Column("p50_ms", "p50 ms", digits=1),
        Column("p99_ms", "p99 ms", digits=1),
        Column("max_gap_ms", "longest gap ms", how="worst"),
    ),
    measure=measure,
    goals=goals,
    loads={KEEP: "Kept connections", CLOSE: "A connection per request"},
)
