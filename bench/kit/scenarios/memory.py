"""(e) What the manager itself needs of memory."""

import time

from .. import load
from ..contenders import Cluster, HaProxy, Nginx, Pm2, Program, Stead
from ..processes import memory_megabytes
from .base import STEAD, Column, Scenario, at_most, figure

REST_SECONDS = 2.0
CLIENTS = 64
LIMIT_MEGABYTES = 10.0


def measure(row):
    """Memory at rest after the start, and at rest after a load."""
    contender = row.contend(Program("hello"))
    contender.serve()
    time.sleep(REST_SECONDS)
    metrics = {"processes": len(contender.manager_pids())}
    for role, pids in contender.managers().items():
        metrics[f"pss_{role}"] = memory_megabytes(pids)[0]
    metrics["pss"], metrics["rss"] = memory_megabytes(contender.manager_pids())
    load.wrk(row.processes, contender.port, CLIENTS, row.setting.seconds / 2)
    load.ab(row.processes, contender.port, CLIENTS, row.setting.seconds / 2)
    time.sleep(REST_SECONDS)
    metrics["pss_after"] = memory_megabytes(contender.manager_pids())[0]
    return metrics


def goals(figures):
    """Small."""
    text = f"keeper and daemon at rest: at most {LIMIT_MEGABYTES:.0f} MB (PSS)"
    return [at_most(text, figure(figures, "", STEAD, "pss"), LIMIT_MEGABYTES, " MB")]


SCENARIO = Scenario(
    letter="e",
    title="Memory of the manager",
    about=(
        "PSS (a shared page counts in parts for each process that has it) and RSS of all processes that are not copies of the "
        f"program, {REST_SECONDS:.0f} s after the first answers; and again after hello world with {CLIENTS} clients, kept and not."
    ),
    contenders=(Cluster, Pm2, Nginx, HaProxy, Stead),
    columns=(
        Column("processes", "processes"),
        Column("pss", "PSS MB", digits=1),
        Column("pss_keeper", "keeper alone", digits=1),
        Column("pss_daemon", "daemon alone", digits=1),
        Column("rss", "RSS MB", digits=1),
        Column("pss_after", "PSS MB after load", digits=1),
    ),
    measure=measure,
    goals=goals,
    needs=("ab", "wrk"),
)
