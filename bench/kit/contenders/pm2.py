"""PM2 in cluster mode, with a daemon and a home folder of its own."""

import os

from ..parts import Npm
from ..processes import Failure, tree
from .base import Contender

COMMAND_LIMIT_SECONDS = 60
PM2 = Npm("pm2", "7.0.4", "PM2")


class Pm2(Contender):
    """`pm2 start server.js -i max`."""

    family = "pm2"
    label = "PM2 `-i max`"
    parts = (PM2,)

    @property
    def home(self):
        """Where it keeps its things."""
        return self.folder / "pm2"

    def start(self):
        everybody = self.setting.workers == len(os.sched_getaffinity(0))
        instances = "max" if everybody else self.setting.workers
        # One copy runs in fork mode, as somebody would who starts one: in cluster mode output goes over the message channel.
        mode = [] if self.setting.workers == 1 else ["-i", instances]
        command = self._command("start", self.program.path, *mode, "--name", "app")
        self.root = self.processes.start(command, self._environment())

    def serve(self):
        super().serve()
        if self.root.wait(COMMAND_LIMIT_SECONDS) != 0:
            raise Failure(f"`pm2 start` failed: {self.processes.tail()}")

    def managers(self):
        return {"pm2": [self._daemon()]}

    def workers(self):
        return tree(self._daemon())[1:]

    def replace_workers(self):
        self.processes.run(self._command("reload", "app"), COMMAND_LIMIT_SECONDS, self._environment())

    def upgrade(self):
        """PM2's own way to run a new version of itself."""
        self.processes.run(self._command("update"), COMMAND_LIMIT_SECONDS, self._environment())

    def run(self, words, limit):
        """Runs a verb to its end."""
        return self.processes.run(self._command(*words), limit, self._environment())

    def _daemon(self):
        return int((self.home / "pm2.pid").read_text())

    def _environment(self):
        return self.environment | {"PM2_HOME": self.home, "PM2_DISABLE_VERSION_CHECK": "true"}

    def _command(self, *words):
        return ["node", f"{self.setting.tools.path(PM2)}/bin/pm2", *words]
