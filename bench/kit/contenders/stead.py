"""Stead itself, as a user types it."""

import os

from ..processes import arguments, tree
from .base import Contender

RELOAD_LIMIT_SECONDS = 60


class Stead(Contender):
    """`stead run server.js -i max`."""

    family = "stead"
    label = "**Stead**"

    def start(self):
        everybody = self.setting.workers == len(os.sched_getaffinity(0))
        instances = "max" if everybody else self.setting.workers
        command = [self.setting.tools.stead, "run", self.program.path, "-i", instances]
        self.root = self.processes.start(command, self._environment())

    def managers(self):
        """The keeper is what was started; the daemon is its child that runs the same program."""
        daemon = [pid for pid in tree(self.root.pid)[1:] if arguments(pid)[1:2] == ["daemon"]]
        return {"keeper": [self.root.pid], "daemon": daemon}

    def replace_workers(self):
        command = [self.setting.tools.stead, "reload", "--pid", self.root.pid]
        self.processes.run(command, RELOAD_LIMIT_SECONDS, self._environment())

    def _environment(self):
        return self.environment | {"STEAD_RUNTIME_DIR": self.folder / "stead"}
