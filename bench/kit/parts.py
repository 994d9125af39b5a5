"""What a measurement needs besides Stead and what a distribution packages: built here, or installed into the cache.

Each part is made once before anything is measured, and `get` gives its path. What a registry does not give is no reason to
measure nothing: the rows that need it say why they are missing.
"""

import json
import subprocess
import sys
from dataclasses import dataclass

from . import tools
from .processes import Failure

INSTALL_LIMIT_SECONDS = 300
COMPILE_LIMIT_SECONDS = 60


class NotInstalled(Failure):
    """A registry or its client did not give a package."""


@dataclass(frozen=True)
class Compiled:
    """A C program, `bench/c/NAME.c`."""

    name: str

    def get(self):
        """The program; compiled again if its source is newer."""
        source, program = tools.BENCH / "c" / f"{self.name}.c", tools.CACHE / "bin" / self.name
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            tools.require(["cc"])
            program.parent.mkdir(parents=True, exist_ok=True)
            command = ["cc", "-O2", "-Wall", "-o", str(program), str(source)]
            subprocess.run(command, timeout=COMPILE_LIMIT_SECONDS, check=True)
        return str(program)


@dataclass(frozen=True)
class Example:
    """A Rust program of this tree, `crates/*/examples/NAME.rs`, in release mode."""

    package: str
    name: str

    def get(self):
        """The program, built by cargo."""
        return tools.cargo("-p", self.package, "--example", self.name)[self.name]


@dataclass(frozen=True)
class Npm:
    """A package of npm in a fixed version; `title` is what people call it."""

    name: str
    version: str
    title: str

    def get(self):
        """Its folder."""
        folder = tools.CACHE / "node_modules" / self.name
        manifest = folder / "package.json"
        if not manifest.exists() or json.loads(manifest.read_text())["version"] != self.version:
            tools.require(["npm"])
            tools.CACHE.mkdir(exist_ok=True)
            _install(
                ["npm", "install", "--prefix", str(tools.CACHE), "--no-audit", "--no-fund", "--loglevel=error"],
                f"{self.name}@{self.version}",
            )
        return str(folder)


@dataclass(frozen=True)
class Pip:
    """A package of PyPI in a fixed version, in a virtual environment of its own."""

    name: str
    version: str
    title: str
    extras: str = ""

    def get(self):
        """The folder of the environment's programs."""
        folder = tools.CACHE / f"{self.name}-{self.version}"
        programs = folder / "bin"
        if not (folder / "installed").exists():
            venv = [sys.executable, "-m", "venv", "--clear", str(folder)]
            _run(venv, f"`python3 -m venv` for {self.name}")
            _install([programs / "pip", "install", "--quiet"], f"{self.name}{self.extras}=={self.version}")
            (folder / "installed").touch()
        return str(programs)


def gather(wanted):
    """(paths by part, reasons by part that could not be installed)."""
    paths, reasons = {}, {}
    for part in wanted:
        try:
            paths[part] = part.get()
        except NotInstalled as reason:
            print(f"bench/run: left out: {reason}", file=sys.stderr)
            reasons[part] = str(reason)
    return paths, reasons


def _install(command, package):
    _run([*map(str, command), package], f"`{command[0]} install {package}`")


def _run(command, what):
    try:
        done = subprocess.run(
            command, cwd=tools.CACHE, capture_output=True, text=True, timeout=INSTALL_LIMIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{what} failed: {error}") from None
    if done.returncode != 0:
        raise NotInstalled(f"{what} failed: {done.stderr.strip()[-400:]}")
