"""The programs a run needs: found, built, installed, or named with the package that has them."""

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .processes import Failure

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
CACHE = BENCH / ".cache"
APPS = BENCH / "apps"

BUILD_LIMIT_SECONDS = 3600
CALIBRATE_LIMIT_SECONDS = 60

# Where a missing program comes from on Debian.
PACKAGES = {
    "ab": "apache2-utils",
    "wrk": "wrk",
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "taskset": "util-linux",
    "node": "nodejs",
    "npm": "npm",
    "cc": "gcc",
    "openssl": "openssl",
    "redis-server": "redis-server",
    "parallel": "parallel",
    "xargs": "findutils",
}
NOT_PACKAGED = {"cargo": "Rust (rustup.rs)"}


@dataclass
class Tools:
    """Paths of what is not found by its name."""

    stead: str | None = None
    load: str | None = None
    # By part (see parts.py): where it is, or why it is missing.
    parts: dict = field(default_factory=dict)
    missing: dict = field(default_factory=dict)

    def path(self, part):
        """Where a part is; fails with the reason if it is nowhere."""
        if part in self.missing:
            raise Failure(self.missing[part])
        return self.parts[part]


def require(names):
    """Fails with one message that names everything missing and how to get it."""
    missing = sorted(name for name in names if shutil.which(name) is None)
    if not missing:
        return
    lines = [f"missing programs: {', '.join(missing)}"]
    packages = sorted({PACKAGES[name] for name in missing if name in PACKAGES})
    if packages:
        lines.append(f"  apt-get install {' '.join(packages)}")
    lines += [f"  {name}: install {NOT_PACKAGED[name]}" for name in missing if name in NOT_PACKAGED]
    if packages:
        lines.append("or leave them out: --only and --scenarios choose what is compared")
    raise Failure("\n".join(lines))


def build(stead=None):
    """Builds Stead and the load client in release mode; `stead` is a binary to measure instead."""
    executables = {}
    if stead is None:
        executables |= cargo("-p", "stead", "-p", "stead-load")
    else:
        executables |= cargo("-p", "stead-load") | {"stead": str(Path(stead).resolve())}
        if shutil.which(executables["stead"]) is None:
            raise Failure(f"`{stead}` is not a program")
    return Tools(stead=executables["stead"], load=executables["stead-load"])


def cargo(*what):
    """Runs cargo and gives the executables it made or found up to date, by name."""
    command = ["cargo", "build", "--release", "--locked", *what, "--message-format", "json-render-diagnostics"]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=BUILD_LIMIT_SECONDS, check=False
    )
    if done.returncode != 0:
        raise Failure(f"`{' '.join(command[:4])} {' '.join(what)}` failed")
    messages = map(json.loads, done.stdout.splitlines())
    return {
        message["target"]["name"]: message["executable"] for message in messages if message.get("executable")
    }


def calibrate(milliseconds):
    """Turns of the empty loop that take so long on an undisturbed core of this machine."""
    command = ["node", str(APPS / "calibrate.js"), str(milliseconds)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=CALIBRATE_LIMIT_SECONDS, check=True
    )
    return int(done.stdout)
