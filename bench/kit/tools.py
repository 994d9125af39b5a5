"""The programs a run needs: found, built, installed, or named with the package that has them."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .processes import Failure

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
CACHE = BENCH / ".cache"
APPS = BENCH / "apps"

PM2_VERSION = "7.0.4"
PM2_SCRIPT = CACHE / "node_modules" / "pm2" / "bin" / "pm2"
INSTALL_LIMIT_SECONDS = 300
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
}
NOT_PACKAGED = {"cargo": "Rust (rustup.rs)"}


@dataclass
class Tools:
    """Paths of what is not found by its name."""

    stead: str | None = None
    load: str | None = None
    proxy: str | None = None
    pm2: str | None = None


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


def build(stead=None, with_proxy=True):
    """Builds Stead, the load client and the bare proxy in release mode; `stead` is a binary to measure instead."""
    executables = {}
    if stead is None:
        executables |= _cargo("-p", "stead", "-p", "stead-load")
    else:
        executables |= _cargo("-p", "stead-load") | {"stead": str(Path(stead).resolve())}
        if shutil.which(executables["stead"]) is None:
            raise Failure(f"`{stead}` is not a program")
    if with_proxy:
        executables |= _cargo("-p", "stead-balancer", "--example", "proxy")
    return Tools(
        stead=executables["stead"], load=executables["stead-load"], proxy=executables.get("proxy")
    )


def _cargo(*what):
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


def pm2():
    """PM2's script, installed into the cache beside this file if it is not there yet."""
    manifest = PM2_SCRIPT.parent.parent / "package.json"
    if manifest.exists() and json.loads(manifest.read_text())["version"] == PM2_VERSION:
        return str(PM2_SCRIPT)
    require(["npm"])
    CACHE.mkdir(exist_ok=True)
    command = ["npm", "install", "--prefix", str(CACHE), "--no-audit", "--no-fund", "--loglevel=error"]
    command.append(f"pm2@{PM2_VERSION}")
    done = subprocess.run(
        command, cwd=CACHE, capture_output=True, text=True, timeout=INSTALL_LIMIT_SECONDS, check=False
    )
    if done.returncode != 0 or not PM2_SCRIPT.exists():
        hint = "without PM2: --only stead,node,cluster,nginx,haproxy"
        raise Failure(f"`npm install pm2@{PM2_VERSION}` failed: {done.stderr.strip()[-400:]}\n{hint}")
    return str(PM2_SCRIPT)


def calibrate(milliseconds):
    """Turns of the empty loop that take so long on an undisturbed core of this machine."""
    command = ["node", str(APPS / "calibrate.js"), str(milliseconds)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=CALIBRATE_LIMIT_SECONDS, check=True
    )
    return int(done.stdout)
