"""What every contender can do, and what it is given."""

import os
import signal
import time
from dataclasses import dataclass

from .. import answers
from ..processes import Failure, free_port, is_alive, tree
from ..tools import APPS, Tools

# Answers in a row before a contender counts as serving: more than it has workers.
SETTLE_ANSWERS_PER_WORKER = 3
ROLL_LIMIT_SECONDS = 20.0


@dataclass(frozen=True)
class Setting:
    """What is the same for all rows of a run."""

    workers: int
    seconds: float
    tools: Tools
    # Turns of the empty loop that are 10 ms of CPU.
    loops: int


@dataclass(frozen=True)
class Program:
    """The server that is run as copies: a file of `apps/` and how it behaves (see apps/lib/listen.js)."""

    app: str
    loops: int = 0
    crash_within_seconds: float = 0.0
    graceful: bool = False
    names_pid: bool = False
    prints_megabytes: int = 0
    # Copies end by design: whoever starts none of them again itself gets a respawn loop.
    dies: bool = False

    @property
    def path(self):
        """The script."""
        return str(APPS / f"{self.app}.js")

    def environment(self, folder):
        """Its variables, without the port."""
        variables = {"NODE_ENV": "production"}
        if self.loops:
            variables["BENCH_LOOPS"] = self.loops
        if self.crash_within_seconds:
            variables["BENCH_CRASH_WITHIN_MS"] = round(self.crash_within_seconds * 1000)
            variables["BENCH_CRASH_LOG"] = folder / "crashes"
        if self.graceful:
            variables["BENCH_GRACEFUL"] = 1
        if self.prints_megabytes:
            variables |= {"BENCH_PRINT_MB": self.prints_megabytes, "BENCH_FOLDER": folder}
        if self.names_pid:
            variables["BENCH_PID_HEADER"] = 1
        return variables


class Contender:
    """One way to run a program as copies behind one port. Constructed, started, measured; ended with its `processes`."""

    # What --only calls it, and what the tables call it.
    family = ""
    label = ""
    # Programs that have to be installed.
    needs = ("node",)

    def __init__(self, processes, setting, program):
        self.processes = processes
        self.setting = setting
        self.program = program
        self.port = free_port()
        self.folder = processes.folder / f"{self.family}-{self.port}"
        self.folder.mkdir()
        self.root = None

    @property
    def environment(self):
        """What the copies get."""
        return self.program.environment(self.folder) | {"PORT": self.port}

    def start(self):
        """Starts everything; returns as soon as the command is on its way."""
        raise NotImplementedError

    def serve(self):
        """Starts everything and waits until it answers well again and again."""
        self.start()
        for _ in range(SETTLE_ANSWERS_PER_WORKER * self.setting.workers):
            answers.first_answer(self.port, self.root)

    def managers(self):
        """The processes that stand between the copies and the world, by role."""
        raise NotImplementedError

    def manager_pids(self):
        """All of them."""
        return [pid for pids in self.managers().values() for pid in pids]

    def workers(self):
        """The copies."""
        return [pid for pid in tree(self.root.pid) if pid not in self.manager_pids()]

    def replace_workers(self):
        """Replaces all copies, one by one, in this contender's own way; returns when that is done."""
        raise NotImplementedError

    def respawned(self, command):
        """The command, in a respawn loop if its copies end by design."""
        return [APPS / "respawn.sh", *command] if self.program.dies else command


class Proxied(Contender):
    """A proxy before copies that listen on ports of their own, started by somebody else."""

    def __init__(self, processes, setting, program):
        super().__init__(processes, setting, program)
        self.ports = [free_port() for _ in range(setting.workers)]
        self.copies = []

    def start(self):
        """The copies first, and the proxy when they answer: it would take them for broken otherwise."""
        command = self.respawned(["node", self.program.path])
        for port in self.ports:
            environment = self.program.environment(self.folder) | {"PORT": port}
            self.copies.append(self.processes.start(command, environment))
        for port, copy in zip(self.ports, self.copies, strict=True):
            answers.first_answer(port, copy)
        self.root = self.start_proxy()

    def start_proxy(self):
        """Starts the proxy itself."""
        raise NotImplementedError

    def managers(self):
        return {"proxy": tree(self.root.pid)}

    def workers(self):
        return [pid for copy in self.copies for pid in tree(copy.pid)]

    def replace_workers(self):
        """As an operator's script does: a copy is asked to end, started again, waited for; then the next one."""
        for copy, port in zip(self.copies, self.ports, strict=True):
            for pid in tree(copy.pid)[1:]:
                self._end_politely(pid)
            answers.first_answer(port)

    @staticmethod
    def _end_politely(pid):
        deadline = time.monotonic() + ROLL_LIMIT_SECONDS
        os.kill(pid, signal.SIGTERM)
        while is_alive(pid):
            if time.monotonic() > deadline:
                raise Failure(f"a copy did not end within {ROLL_LIMIT_SECONDS:.0f} s")
            time.sleep(0.002)
