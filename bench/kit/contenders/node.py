"""Node.js itself: one process, and its own cluster module."""

import os
import signal
import time

from ..processes import Failure, tree
from ..tools import APPS
from .base import Contender

REPLACE_LIMIT_SECONDS = 30.0


class Node(Contender):
    """`node server.js`: one process on one core, with nobody before it."""

    family = "node"
    label = "node alone"

    def start(self):
        self.root = self.processes.start(self.respawned(["node", self.program.path]), self.environment)

    def managers(self):
        return {}


class Cluster(Contender):
    """Node's `cluster`: the primary accepts and hands connections over, in turn. See apps/cluster.js."""

    family = "cluster"
    label = "Node.js cluster"

    def start(self):
        environment = self.environment | {"WORKERS": self.setting.workers}
        self.root = self.processes.start(["node", APPS / "cluster.js", self.program.path], environment)

    def managers(self):
        return {"primary": [self.root.pid]}

    def workers(self):
        return tree(self.root.pid)[1:]

    def replace_workers(self):
        done = self._replacements()
        deadline = time.monotonic() + REPLACE_LIMIT_SECONDS
        os.kill(self.root.pid, signal.SIGUSR2)
        while self._replacements() == done:
            if time.monotonic() > deadline:
                raise Failure(f"the cluster was not replaced within {REPLACE_LIMIT_SECONDS:.0f} s")
            time.sleep(0.005)

    def _replacements(self):
        return self.processes.output.read_text(errors="replace").count("replaced ")
