"""(l) Whether the manager grows: memory after millions of requests and a gigabyte of logs."""

import time
from dataclasses import replace

from .. import load
from ..contenders import Program, SteadInBackground
from ..processes import Failure, memory_megabytes
from .base import Column, Scenario, at_most, figure

REQUESTS = 10_000_000
MEGABYTES = 1000
SLICE_SECONDS = 20
CLIENTS = 64
REST_SECONDS = 2.0
LOG_LIMIT_SECONDS = 300
# What a heap may need at its widest and not give back.
GROWTH_MAX_MEGABYTES = 3.0


def measure(row):
    """Memory at rest: after a first slice of load, after all requests, after the logs."""
    alone = replace(row, setting=replace(row.setting, workers=1))
    contender = alone.contend(Program("printer", prints_megabytes=MEGABYTES))
    contender.serve()
    requests = _load(row, contender)
    metrics = {"pss_warm": _rest(contender)}
    while requests < REQUESTS:
        requests += _load(row, contender)
    metrics |= {"requests": requests, "pss_requests": _rest(contender)}
    (contender.folder / "print").touch()
    deadline = time.monotonic() + LOG_LIMIT_SECONDS
    while not (contender.folder / "printed").exists():
        if time.monotonic() > deadline:
            raise Failure(f"not printed within {LOG_LIMIT_SECONDS} s")
        time.sleep(0.05)
    metrics["pss_logs"] = _rest(contender)
    files = (contender.folder / "home").rglob("*")
    metrics["log_mb"] = sum(file.stat().st_size for file in files if file.is_file()) / 1e6
    return metrics


def _load(row, contender):
    return load.wrk(row.processes, contender.port, CLIENTS, SLICE_SECONDS)["requests"]


def _rest(contender):
    time.sleep(REST_SECONDS)
    return memory_megabytes(contender.manager_pids())[0]


def goals(figures):
    """Flat."""
    label = SteadInBackground.label
    warm = figure(figures, "", label, "pss_warm")
    limit = None if warm is None else warm + GROWTH_MAX_MEGABYTES
    return [
        at_most(f"after {REQUESTS:,} requests: flat", figure(figures, "", label, "pss_requests"), limit, " MB"),
        at_most(f"after {MEGABYTES:,} MB of logs: flat", figure(figures, "", label, "pss_logs"), limit, " MB"),
    ]


SCENARIO = Scenario(
    letter="l",
    title="Memory over time",
    about=(
        f"PSS of keeper and daemon at rest: after a first load of {SLICE_SECONDS} s, after {REQUESTS:,} requests of {CLIENTS} kept clients, and after a copy "
        f"has printed {MEGABYTES:,} MB. *On disk* is everything in its home then: the logs are capped."
    ),
    contenders=(SteadInBackground,),
    columns=(
        Column("requests", "requests"),
        Column("pss_warm", "PSS MB warm", digits=1),
        Column("pss_requests", "after requests", digits=1),
        Column("pss_logs", "after logs", digits=1),
        Column("log_mb", "on disk MB", digits=1),
    ),
    measure=measure,
    goals=goals,
    needs=("wrk",),
    limit_seconds=1500,
)
