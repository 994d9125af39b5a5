"""What a run ran on: processor, memory, kernel, system, versions of everything compared."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

VERSION_LIMIT_SECONDS = 30


def describe():
    """The machine as a flat record."""
    return {
        "cpu": _field("/proc/cpuinfo", r"model name\s*:\s*(.+)") or platform.machine(),
        "cores": os.cpu_count(),
        "cores_available": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(_field("/proc/meminfo", r"MemTotal:\s*(\d+)") or 0) / 2**20, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "system": _field("/etc/os-release", r'PRETTY_NAME="?([^"\n]+)') or "unknown",
    }


def versions(tools):
    """Versions of the compared programs and of the generators, as far as they are there."""
    commands = {
        "Stead": ([tools.stead, "--version"], r"(\d\S*)"),
        "Node.js": (["node", "--version"], r"v(\S+)"),
        "NGINX": (["nginx", "-v"], r"nginx/(\S+)"),
        "HAProxy": (["haproxy", "-v"], r"version (\d[^\s-]*)"),
        "ab": (["ab", "-V"], r"Version (\S+)"),
        "wrk": (["wrk", "-v"], r"wrk (?:debian/)?(\S+)"),
        "Python": (["python3", "--version"], r"Python (\S+)"),
        "Redis": (["redis-server", "--version"], r"v=(\S+)"),
        "GNU parallel": (["parallel", "--version"], r"parallel (\d+)"),
        "OpenSSL": (["openssl", "version"], r"OpenSSL (\S+)"),
    }
    found = {name: _version(*how) for name, how in commands.items() if how[0][0]}
    packages = {part.title: part.version for part in tools.parts if hasattr(part, "title")}
    return {name: version for name, version in found.items() if version} | packages


def revision(root):
    """The commit that was measured, with `+` if files were changed since; None outside a repository."""
    commit = _output(["git", "-C", root, "rev-parse", "--short", "HEAD"]).strip()
    if not commit:
        return None
    changed = _output(["git", "-C", root, "status", "--porcelain", "--untracked-files=no"]).strip()
    return f"{commit}+" if changed else commit


def _version(command, pattern):
    found = re.search(pattern, _output(command))
    return found[1] if found else None


def _output(command):
    if shutil.which(command[0]) is None:
        return ""
    limit = VERSION_LIMIT_SECONDS
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit, check=False
    )
    # wrk -v and nginx -v write to standard error, wrk with a code that says failure.
    return done.stdout + ("" if command[0] == "git" else done.stderr)


def _field(path, pattern):
    try:
        found = re.search(pattern, Path(path).read_text())
    except OSError:
        return None
    return found[1].strip() if found else None
