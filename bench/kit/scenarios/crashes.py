"""(c) A crash storm: every copy dies at a random moment within ten seconds of its start, for ever."""

import time

from .. import load
from ..contenders import Cluster, HaProxyRetry, Nginx, NginxNextUpstream, Node, Pm2, Program, Stead
from .base import STEAD, Column, Scenario, at_most, figure, none

CRASH_WITHIN_SECONDS = 10.0
CPU, CLOSE, KEEP = "10 ms of CPU", "connection per request", "keep-alive"
CLIENTS = {CPU: 200, CLOSE: 50, KEEP: 50}


def measure(row):
    """The account of every request while copies die."""
    # A shorter run than usual must see deaths too.
    within = min(CRASH_WITHIN_SECONDS, row.setting.seconds)
    cpu = row.load == CPU
    loops = row.setting.loops if cpu else 0
    app = "cpu" if cpu else "hello"
    contender = row.contend(Program(app, loops=loops, crash_within_seconds=within, dies=True))
    contender.serve()
    started = time.time()
    running = load.Load(
        row.processes,
        row.setting.tools.load,
        contender.port,
        CLIENTS[row.load],
        row.setting.seconds,
        keep_alive=row.load == KEEP,
    )
    metrics = running.finish()
    return metrics | {"deaths": deaths(contender, started, started + row.setting.seconds)}


def deaths(contender, since, until):
    """How many copies died in that time."""
    log = contender.folder / "crashes"
    moments = [float(line) for line in log.read_text().splitlines()] if log.exists() else []
    return sum(since <= moment < until for moment in moments)


def goals(figures):
    """Nothing lost, and nobody waits a second."""
    lost = [
        none(f"nothing lost, {kind}", figure(figures, kind, STEAD, "failed")) for kind in (CPU, CLOSE, KEEP)
    ]
    haproxy = figure(figures, CPU, HaProxyRetry.label, "p99_ms")
    half = None if haproxy is None else haproxy / 2
    text = f"p99, {CPU}: at most half of that of HAProxy with retries"
    return [*lost, at_most(text, figure(figures, CPU, STEAD, "p99_ms"), half, " ms")]


SCENARIO = Scenario(
    letter="c",
    title="Crash storm",
    about=(
        f"Every copy ends with exit code 1 at a random moment within {CRASH_WITHIN_SECONDS:.0f} s (the length of the run, if that "
        "is shorter) of its start, and is started again by its manager, or by a loop in a shell where there is none. "
        "`stead-load` accounts for every request and repeats none; no answer within "
        f"{load.LOST_AFTER_SECONDS} s is a lost one. Lost requests and deaths are sums over all repetitions, the gap is the "
        "longest time without any good answer in any of them."
    ),
    contenders=(Node, Cluster, Pm2, Nginx, NginxNextUpstream, HaProxyRetry, Stead),
    columns=(
        Column("failed", "lost", how="sum"),
        Column("requests", "of", how="sum"),
        Column("class:", "by class", how="classes"),
        Column("deaths", "deaths", how="sum"),
        Column("p99_ms", "p99 ms", digits=1),
        Column("max_gap_ms", "longest gap ms", how="worst"),
        Column("per_second", "good answers/s"),
    ),
    measure=measure,
    goals=goals,
    loads={
        CPU: f"10 ms of CPU per request, {CLIENTS[CPU]} clients, a connection per request",
        CLOSE: f"Hello world, {CLIENTS[CLOSE]} clients, a connection per request",
        KEEP: f"Hello world, {CLIENTS[KEEP]} clients, kept connections",
    },
)
