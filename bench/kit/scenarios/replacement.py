"""(h) From `kill -9` of a worker to the answer of its replacement."""

import os
import signal
import statistics
import time

from .. import answers
from ..contenders import Cluster, HaProxyRetry, Nginx, NginxNextUpstream, Node, Pm2, Program, Stead
from .base import STEAD, Column, Scenario, at_most, figure

KILLS = 3
PATIENCE_SECONDS = 20.0
ALLOWANCE_MS = 20


def measure(row):
    """The median over several kills, and what the asking lost meanwhile."""
    contender = row.contend(Program("hello", names_pid=True, dies=True))
    contender.serve()
    copies = 1 if row.contender is Node else row.setting.workers
    elapsed, asked, failed = [], 0, 0
    for _ in range(KILLS):
        known = answers.all_workers(contender.port, copies)
        watch = answers.Watch(contender.port, known)
        killed = time.monotonic()
        os.kill(min(known), signal.SIGKILL)
        found = watch.wait(PATIENCE_SECONDS)
        elapsed.append(((found or time.monotonic()) - killed) * 1000)
        asked, failed = asked + watch.asked, failed + watch.failed
    return {"replaced_ms": statistics.median(elapsed), "replaced_ms_max": max(elapsed), "requests": asked, "failed": failed}


def goals(figures):
    """Hardly later than the program can."""
    node = figure(figures, "", Node.label, "replaced_ms")
    limit = None if node is None else node + ALLOWANCE_MS
    text = f"at most {ALLOWANCE_MS} ms after node's own start (the same, measured for one process in a shell loop)"
    return [at_most(text, figure(figures, "", STEAD, "replaced_ms"), limit, " ms")]


SCENARIO = Scenario(
    letter="h",
    title="Kill to replacement serving",
    about=(
        f"One copy is killed with SIGKILL while two clients ask every few milliseconds; the clock stops at the first answer of a process "
        f"that was not there before. The median of {KILLS} kills per repetition, given up after {PATIENCE_SECONDS:.0f} s. *Lost* "
        "are the clients' requests that were refused, broken or not answered within half a second."
    ),
    contenders=(Node, Cluster, Pm2, Nginx, NginxNextUpstream, HaProxyRetry, Stead),
    columns=(
        Column("replaced_ms", "replacement ms"),
        Column("replaced_ms_max", "latest ms", how="worst"),
        Column("failed", "lost", how="sum"),
        Column("requests", "of", how="sum"),
    ),
    measure=measure,
    goals=goals,
)
