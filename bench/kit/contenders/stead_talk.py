"""Stead with copies of a program that broadcast to each other."""

import time
from pathlib import Path

from ..processes import Failure, arguments, memory_megabytes, tree
from ..tools import APPS
from .stead_pools import SteadPool, _until, _words

COPIES = 9
PATIENCE_SECONDS = 120
REST_SECONDS = 2.0


class SteadTalk:
    """`stead run`, and one copy that broadcasts to eight others."""

    family = SteadPool.family
    label = "**Stead** `run`"
    needs = ("node",)
    parts = ()

    def __init__(self, row):
        self.processes, self.folder = row.processes, row.processes.folder
        command = _words(["node", APPS / "talk.js", self.folder])
        (self.folder / "stead.toml").write_text(f"""
[app.talk]
command = {command}
instances = {COPIES}
""")
        environment = {"STEAD_RUNTIME_DIR": self.folder / "stead", "STEAD_HOME": self.folder / "home"}
        self.root = row.processes.start([row.setting.tools.stead, "run"], environment)

    def broadcast(self, count):
        """Has so many messages broadcast; how many came of that."""
        (self.folder / f"talk-{count}").touch()
        talked = self.folder / f"talked-{count}"
        _until(talked.exists, self.root, time.monotonic() + PATIENCE_SECONDS, self.processes)
        return int(talked.read_text())

    def rest(self):
        """Memory and open descriptors of keeper and daemon, when they have nothing to do."""
        time.sleep(REST_SECONDS)
        own = [pid for pid in tree(self.root.pid) if "talk.js" not in " ".join(arguments(pid))]
        if len(own) != 2:
            raise Failure(f"a keeper and a daemon were expected, and there are {len(own)} processes")
        descriptors = [each for pid in own for each in Path(f"/proc/{pid}/fd").iterdir()]
        return memory_megabytes(own)[0], len(descriptors)
