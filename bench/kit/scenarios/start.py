"""(f) From the command to the first good answer."""

import statistics
import time

from .. import answers
from ..contenders import Cluster, HaProxy, Nginx, Node, Pm2, Program, Stead
from .base import STEAD, Column, Scenario, at_most, figure

STARTS = 5
ALLOWANCE_MS = 50


def measure(row):
    """The median of several cold starts, one after the other."""
    elapsed = []
    for _ in range(STARTS):
        contender = row.contend(Program("hello"))
        started = time.monotonic()
        contender.start()
        answers.first_answer(contender.port, contender.root)
        elapsed.append((time.monotonic() - started) * 1000)
        row.processes.end_all()
    return {"first_ms": statistics.median(elapsed), "first_ms_max": max(elapsed)}


def goals(figures):
    """Hardly later than the program itself."""
    node = figure(figures, "", Node.label, "first_ms")
    limit = None if node is None else node + ALLOWANCE_MS
    text = f"at most {ALLOWANCE_MS} ms after plain `node server.js`"
    return [at_most(text, figure(figures, "", STEAD, "first_ms"), limit, " ms")]


SCENARIO = Scenario(
    letter="f",
    title="Command to first answer",
    about=(
        f"The median of {STARTS} starts per repetition, asked every millisecond. As many copies as cores start at once, except for plain "
        "node. PM2's daemon is not running yet. For NGINX and HAProxy: copies started together, waited for, then the proxy."
    ),
    contenders=(Node, Cluster, Pm2, Nginx, HaProxy, Stead),
    columns=(
        Column("first_ms", "first answer ms"),
        Column("first_ms_max", "latest ms", how="worst"),
    ),
    measure=measure,
    goals=goals,
)
