"""Stead's own pools: batches by `stead map`, and pools of the daemon."""

import json
import shlex
import time

from ..processes import Failure, is_alive
from .command import read_figures
from .pools import POOLS, Pool, limit

# Tasks for `stead map`, which is given a file: as many as last about as long as the others are measured, and warmed up before.
CPU_TASKS_PER_SECOND = 800
WARM_SECONDS = 0.5


class SteadMap(Pool):
    """`stead map` with workers that know nothing of it."""

    family = "stead"
    label = "**Stead** `map`"
    worker = "worker.js"
    noops_per_second = 50_000

    @classmethod
    def drive(cls, row, seconds, loops):
        return {
            "noop_per_s": cls.rate(row, "noop", (cls.noops_per_second, seconds), 0),
            "cpu_per_s": cls.rate(row, "cpu", (CPU_TASKS_PER_SECOND * row.setting.workers, seconds), loops),
        }

    @classmethod
    def rate(cls, row, name, about, loops):
        """From the end of the warming up to the last result: neither the start of the workers is in it nor their end, as with the others."""
        per_second, seconds = about
        warm, count = round(per_second * WARM_SECONDS), round(per_second * (WARM_SECONDS + seconds))
        result_bytes = len(f'{{"done":{loops}}}\n')
        tasks, results = (row.processes.folder / f"{name}.{what}" for what in ("tasks", "results"))
        tasks.write_text(f'{{"loops":{loops}}}\n' * count)
        command = shlex.join(
            [row.setting.tools.stead, "map", "-n", str(row.setting.workers), "--", "node", str(POOLS / cls.worker)]
        )
        shell = ["sh", "-c", f"exec {command} < {tasks} > {results}"]
        child = row.processes.start(shell, {"STEAD_HOME": row.processes.folder / "home"})
        deadline = time.monotonic() + limit(1)
        begun = _until(lambda: _bytes(results) >= warm * result_bytes, child, deadline, row.processes)
        first = _bytes(results) // result_bytes
        elapsed = _until(lambda: _bytes(results) >= count * result_bytes, child, deadline, row.processes) - begun
        _until(lambda: child.poll() is not None, child, deadline, row.processes)
        if child.returncode != 0 or _lines(results) != count:
            raise Failure(f"`stead map` ended with {child.returncode} and {_lines(results):,} results of {count:,}")
        return (count - first) / elapsed


class SteadMapEnvelope(SteadMap):
    """`stead map` with workers that speak the protocol of pools."""

    label = "**Stead** `map`, workers that speak its protocol"
    worker = "worker_envelope.js"
    noops_per_second = 200_000


class SteadMapSdk(SteadMapEnvelope):
    """The same by its package for Node.js."""

    label = "**Stead** `map`, workers with its package"
    worker = "worker_sdk.js"
    noops_per_second = 500_000


def _bytes(path):
    return path.stat().st_size if path.exists() else 0


def _lines(path):
    return path.read_bytes().count(b"\n")


def _until(is_so, child, deadline, processes):
    """When it became so; fails if the child ends before, or it takes too long."""
    while not is_so():
        if not is_alive(child.pid) and child.poll() is not None and not is_so():
            raise Failure(f"ended with {child.returncode}: {processes.tail()}")
        if time.monotonic() > deadline:
            raise Failure(f"it takes too long: {processes.tail()}")
        time.sleep(0.001)
    return time.monotonic()


class SteadPool(Pool):
    """A pool of the daemon, and a Node.js program under the same daemon that gives it tasks."""

    family = "stead"
    label = "**Stead** pool"
    worker = "worker.js"
    driver = "envelope"
    settings = ""
    at_once = 64

    @classmethod
    def drive(cls, row, seconds, loops):
        folder = row.processes.folder
        said = folder / "figures"
        command = ["node", POOLS / "drive.js", cls.driver, row.setting.workers, seconds, loops, said]
        (folder / "stead.toml").write_text(f"""
[app.driver]
command = {_words(command)}
env = {{ BENCH_AT_ONCE = "{cls.at_once}" }}
restart = "temporary"

[pool.spin]
command = {_words(["node", POOLS / cls.worker])}
size = {row.setting.workers}
{cls.settings}
""")
        environment = {"STEAD_RUNTIME_DIR": folder / "stead", "STEAD_HOME": folder / "home"}
        child = row.processes.start([row.setting.tools.stead, "run"], environment)
        _until(said.exists, child, time.monotonic() + limit(seconds), row.processes)
        return read_figures(said.read_text())


def _words(command):
    return json.dumps([str(word) for word in command])


class SteadPoolSdk(SteadPool):
    """Workers and program use Stead's package for Node.js."""

    label = "**Stead** pool, its package at both ends"
    worker = "worker_sdk.js"
    driver = "sdk"


class SteadPoolHttp(SteadPool):
    """The program gives its tasks by HTTP."""

    label = "**Stead** pool over HTTP"
    driver = "http"


class SteadPoolDurable(SteadPool):
    """Every task is on disk before it is accepted."""

    label = "**Stead** pool, durable"
    settings = "durable = true"
    at_once = 1000


class SteadPoolDurableSdk(SteadPoolDurable):
    """The same with its package at both ends, as BullMQ has its own."""

    label = "**Stead** pool, durable, its package at both ends"
    worker = "worker_sdk.js"
    driver = "sdk"
