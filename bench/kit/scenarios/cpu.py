"""(a) A CPU-bound server: 10 ms of CPU per request, 200 clients at once."""

from .. import load
from ..contenders import Cluster, HaProxy, Nginx, Node, Pm2, Program, Stead
from ..processes import cpu_seconds
from .base import STEAD, Column, Scenario, at_least, at_most, best_peer, figure

CLIENTS = 200
WARM_CLIENTS = 20
WARM_SECONDS = 1


def measure(row):
    """ab's report, and how many cores the copies really got."""
    contender = row.contend(Program("cpu", loops=row.setting.loops))
    contender.serve()
    load.ab(row.processes, contender.port, WARM_CLIENTS, WARM_SECONDS)
    workers = contender.workers()
    before = cpu_seconds(workers)
    metrics = load.ab(row.processes, contender.port, CLIENTS, row.setting.seconds)
    elapsed = metrics["requests"] / metrics["per_second"]
    metrics["cores"] = (cpu_seconds(workers) - before) / elapsed
    if metrics.get("p50_ms"):
        metrics["unfairness"] = metrics["p99_ms"] / metrics["p50_ms"]
    return metrics


def goals(figures):
    """As fast as the best, and fair."""
    haproxy = HaProxy.label
    return [
        at_least(
            "requests per second: at least those of the best peer",
            figure(figures, "", STEAD, "per_second"),
            best_peer(figures, "", "per_second"),
        ),
        at_most("p99 at most 1.5 times p50", figure(figures, "", STEAD, "unfairness"), 1.5),
        at_most(
            "p99 not above that of HAProxy leastconn",
            figure(figures, "", STEAD, "p99_ms"),
            figure(figures, "", haproxy, "p99_ms"),
            " ms",
        ),
    ]


SCENARIO = Scenario(
    letter="a",
    title="10 ms of CPU per request",
    about=(
        f"`ab -c {CLIENTS}`, HTTP/1.0, a connection per request. The handler is an empty loop that was calibrated to "
        "10 ms of an undisturbed core. *Cores used* is the CPU that the copies got per second: what is missing up to the number of "
        "cores went to whatever stands before them, to ab, and to waiting."
    ),
    contenders=(Node, Cluster, Pm2, Nginx, HaProxy, Stead),
    columns=(
        Column("per_second", "requests/s"),
        Column("p50_ms", "p50 ms"),
        Column("p99_ms", "p99 ms"),
        Column("unfairness", "p99/p50", digits=2),
        Column("max_ms", "longest ms", how="worst"),
        Column("failed", "failed", how="sum"),
        Column("requests", "of", how="sum"),
        Column("cores", "cores used", digits=2),
    ),
    measure=measure,
    goals=goals,
    needs=("ab",),
)
