"""Pools of workers that take tasks. Each is started, given tasks in its own best way, and says how fast they came back.

`measure(row)` of each gives `noop_per_s`, `cpu_per_s` (tasks of a millisecond of CPU), `ideal_per_s` (such tasks if all cores
did nothing else, measured right before and after) and, where tasks can be given one by one, `lone_us`.
"""

import json

from .. import answers
from ..parts import Npm, Pip
from ..processes import free_port
from ..tools import APPS, CACHE
from .command import read_figures

POOLS = APPS / "pools"
# Of the seconds of a load, for each of the measurements of a row.
SHARE = 0.2
# Kinds of tasks that are measured, and what is warmed up before.
PHASES = 4
PATIENCE_SECONDS = 60
IDEAL_SECONDS = 0.5
NODE_PATH = {"NODE_PATH": CACHE / "node_modules", "NODE_ENV": "production"}
REDIS_CLIENT = Npm("ioredis", "5.11.1", "ioredis")
CELERY = Pip("celery", "5.7.0", "Celery", "[redis]")


class Pool:
    """What they share."""

    family = ""
    label = ""
    needs = ("node",)
    parts = ()

    @classmethod
    def measure(cls, row):
        """See the module."""
        for part in cls.parts:
            row.setting.tools.path(part)
        before = cls.ideal(row)
        measured = cls.drive(row, row.setting.seconds * SHARE, cls.loops(row))
        return measured | {"ideal_per_s": (before + cls.ideal(row)) / 2}

    @classmethod
    def drive(cls, row, seconds, loops):
        """Gives tasks; the figures."""
        raise NotImplementedError

    @classmethod
    def ideal(cls, row):
        """Tasks of a millisecond per second of all cores, without anybody who hands them out."""
        return _together(row, ["node", APPS / "spin_rate.js", IDEAL_SECONDS, cls.loops(row)])

    @staticmethod
    def loops(row):
        """Turns of the empty loop that are a millisecond; the setting has those of ten."""
        return round(row.setting.loops / 10)


def _together(row, command):
    """The sum of what as many processes say as there are workers, all at the same time."""
    children = [row.processes.start(command, capture=True) for _ in range(row.setting.workers)]
    return sum(read_figures(row.processes.finish(child, PATIENCE_SECONDS))["per_s"] for child in children)


def limit(seconds):
    """How long a program may take that measures everything, each for so long."""
    return PATIENCE_SECONDS + PHASES * seconds


class InProgram(Pool):
    """A pool inside a Node.js program (apps/pools/drive.js)."""

    kind = ""

    @classmethod
    def drive(cls, row, seconds, loops):
        words = ["node", POOLS / "drive.js", cls.kind, row.setting.workers, seconds, loops]
        return read_figures(row.processes.run(words, limit(seconds), NODE_PATH))


class ForkPool(InProgram):
    """Node's own means: `child_process.fork`, each task to the child that has the fewest."""

    family = "node"
    label = "Node.js, own fork pool"
    kind = "fork"


class Piscina(InProgram):
    """Threads."""

    family = "piscina"
    label = "piscina"
    kind = "piscina"
    parts = (Npm("piscina", "5.3.2", "piscina"),)


class WorkerPool(InProgram):
    """Processes."""

    family = "workerpool"
    label = "workerpool"
    kind = "workerpool"
    parts = (Npm("workerpool", "10.0.3", "workerpool"),)


def _redis(row, *options):
    """Starts one that is asked for nothing else, and gives its port."""
    port = free_port()
    folder = row.processes.folder / "redis"
    folder.mkdir()
    command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", folder, "--save", "", *options]
    server = row.processes.start(command)
    answers.listening(port, server)
    return port


class BullMq(Pool):
    """BullMQ on a Redis that keeps everything in memory."""

    family = "bullmq"
    label = "BullMQ"
    needs = ("node", "redis-server")
    parts = (Npm("bullmq", "6.7.0", "BullMQ"), REDIS_CLIENT)
    redis_options = ()

    @classmethod
    def drive(cls, row, seconds, loops):
        port = _redis(row, *cls.redis_options)
        for _ in range(row.setting.workers):
            row.processes.start(["node", POOLS / "bullmq.js", "worker", port], NODE_PATH)
        words = ["node", POOLS / "bullmq.js", "drive", port, seconds, loops]
        return read_figures(row.processes.run(words, limit(seconds), NODE_PATH))


class BullMqDurable(BullMq):
    """BullMQ on a Redis that has every task on disk before it says so."""

    label = "BullMQ, AOF always"
    redis_options = ("--appendonly", "yes", "--appendfsync", "always")


class Celery(Pool):
    """Celery on Redis: Python at both ends."""

    family = "celery"
    label = "Celery"
    needs = ("python3", "redis-server")
    parts = (CELERY,)
    calibrated = None

    @classmethod
    def drive(cls, row, seconds, loops):
        environment = {"BENCH_REDIS_PORT": _redis(row), "PYTHONPATH": POOLS, "PYTHONDONTWRITEBYTECODE": 1, "C_FORCE_ROOT": 1}
        options = ["--loglevel=ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        command = [f"{row.setting.tools.path(CELERY)}/celery", "-A", "celery_tasks", "worker", "-c", row.setting.workers, *options]
        row.processes.start(command, environment)
        words = [*cls.program(row), "drive", seconds, loops]
        return read_figures(row.processes.run(words, limit(seconds), environment))

    @classmethod
    def ideal(cls, row):
        """In Python."""
        return _together(row, [*cls.program(row), "ideal", IDEAL_SECONDS, cls.loops(row)])

    @classmethod
    def loops(cls, row):
        """Python's turns are slower than those of Node.js."""
        if cls.calibrated is None:
            cls.calibrated = json.loads(row.processes.run([*cls.program(row), "calibrate"], PATIENCE_SECONDS))
        return cls.calibrated

    @staticmethod
    def program(row):
        """The first words of the command that does everything but the tasks."""
        return ["env", "PYTHONDONTWRITEBYTECODE=1", f"{row.setting.tools.path(CELERY)}/python", POOLS / "celery_tasks.py"]
