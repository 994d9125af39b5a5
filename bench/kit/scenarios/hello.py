"""(b) The smallest answer: what everything around it costs."""

from .. import load
from ..contenders import Cluster, HaProxy, Nginx, Node, Pm2, Program, Stead
from ..processes import cpu_seconds
from .base import STEAD, Column, Scenario, at_least, figure

CLIENTS = 64
WARM_SECONDS = 1
KEEP, CLOSE = "keep-alive", "connection per request"


def measure(row):
    """One load on a warm contender, and the CPU that each side of it used."""
    contender = row.contend(Program("hello"))
    contender.serve()
    generator = load.wrk if row.load == KEEP else load.ab
    generator(row.processes, contender.port, CLIENTS, WARM_SECONDS)
    managers, workers = contender.manager_pids(), contender.workers()
    before = cpu_seconds(managers), cpu_seconds(workers)
    metrics = generator(row.processes, contender.port, CLIENTS, row.setting.seconds)
    used = cpu_seconds(managers) - before[0], cpu_seconds(workers) - before[1]
    if managers:
        metrics["manager_us"] = used[0] / metrics["requests"] * 1e6
    metrics["worker_us"] = used[1] / metrics["requests"] * 1e6
    return metrics


def goals(figures):
    """As fast as NGINX, both ways."""
    return [
        at_least(
            f"requests per second, {kind}: at least those of NGINX",
            figure(figures, kind, STEAD, "per_second"),
            figure(figures, kind, Nginx.label, "per_second"),
        )
        for kind in (KEEP, CLOSE)
    ]


SCENARIO = Scenario(
    letter="b",
    title="Hello world",
    about=(
        f"{CLIENTS} clients without pause: `wrk` on kept connections, and `ab` with a connection per request, whose latency "
        "includes connecting and is in whole milliseconds. *us* columns are CPU per request, of all that stands before the copies "
        "and of the copies."
    ),
    contenders=(Node, Cluster, Pm2, Nginx, HaProxy, Stead),
    columns=(
        Column("per_second", "requests/s"),
        Column("p50_ms", "p50 ms", digits=1),
        Column("p99_ms", "p99 ms", digits=1),
        Column("failed", "failed", how="sum"),
        Column("manager_us", "manager us", digits=1),
        Column("worker_us", "copies us", digits=1),
    ),
    measure=measure,
    goals=goals,
    loads={KEEP: "Kept connections (`wrk`)", CLOSE: "A connection per request (`ab`)"},
    needs=("ab", "wrk"),
)
