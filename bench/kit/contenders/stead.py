"""Stead itself, as a user types it."""

import os
import shutil

from ..processes import arguments, tree
from .base import Contender

RELOAD_LIMIT_SECONDS = 60
UPGRADE_LIMIT_SECONDS = 60


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

    def upgrade(self):
        """Another copy of the same binary takes over; returns when it serves."""
        binary = self.folder / "stead-new"
        if not binary.exists():
            shutil.copy(self.setting.tools.stead, binary)
        command = [self.setting.tools.stead, "upgrade", "--pid", self.root.pid, "--binary", binary]
        self.processes.run(command, UPGRADE_LIMIT_SECONDS, self._environment())

    def _environment(self):
        return self.environment | {"STEAD_RUNTIME_DIR": self.folder / "stead", "STEAD_HOME": self.folder / "home"}


class SteadInBackground(Stead):
    """`stead start server.js -i max`: a daemon, and apps that are added to it."""

    label = "**Stead** `start`"

    def start(self):
        command = self.command("start", self.program.path, "-i", self.setting.workers, "--name", "app")
        self.root = self.processes.start(command, self._environment())

    def managers(self):
        keeper = int((self.folder / "stead" / "background.pid").read_text())
        daemon = [pid for pid in tree(keeper)[1:] if arguments(pid)[1:2] == ["background-daemon"]]
        return {"keeper": [keeper], "daemon": daemon}

    def workers(self):
        return [pid for pid in tree(self.managers()["keeper"][0]) if pid not in self.manager_pids()]

    def replace_workers(self):
        self.processes.run(self.command("reload", "app"), RELOAD_LIMIT_SECONDS, self._environment())

    def command(self, *words):
        """A verb with its words."""
        return [self.setting.tools.stead, *words]

    def run(self, words, limit):
        """Runs a verb to its end."""
        return self.processes.run(self.command(*words), limit, self._environment())
