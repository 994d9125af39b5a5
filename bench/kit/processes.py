"""Children of a measurement: started, accounted for, ended by their process id, and none left behind.

This process adopts its descendants' orphans (PR_SET_CHILD_SUBREAPER), so that even a program that turns itself into a
daemon is found below it and ended with the rest. Nothing that was not started here is ever signalled.
"""

import ctypes
import os
import random
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
CPUCLOCK_SCHED = 2
# Ended in order by then, or killed.
FAREWELL_SECONDS = 6.0
# Below the range from which outgoing connections get theirs.
PORTS = range(10_000, 30_000)
# Set by whoever calls us, and not meant for what is measured.
NOT_INHERITED = ("PORT", "NODE_OPTIONS", "NODE_APP_INSTANCE", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID")

_used_ports = set()


class Failure(Exception):
    """A measurement that could not take place; the text says why."""


def adopt_orphans():
    """Makes this process the parent of descendants whose parent ended."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def free_port():
    """A loopback port on which nobody listens, and which this run has not used yet."""
    while True:
        port = random.choice(PORTS)
        if port in _used_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _used_ports.add(port)
        return port


def _stat(pid):
    """State and parent of a process; None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, parent = text[text.rindex(")") + 2 :].split()[:2]
    return state, int(parent)


def is_alive(pid):
    """It runs; a zombie does not."""
    stat = _stat(pid)
    return stat is not None and stat[0] != "Z"


def tree(root):
    """A living process and its living descendants, parents first."""
    children = {}
    for name in os.listdir("/proc"):
        stat = _stat(name) if name.isdigit() else None
        if stat is not None and stat[0] != "Z":
            children.setdefault(stat[1], []).append(int(name))
    found, next_ones = [], [root] if is_alive(root) else []
    while next_ones:
        pid = next_ones.pop(0)
        found.append(pid)
        next_ones += sorted(children.get(pid, []))
    return found


def arguments(pid):
    """The command line of a process as a list."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def cpu_seconds(pids):
    """CPU that living processes have used, all their threads, to the nanosecond."""
    total = 0.0
    for pid in pids:
        try:
            total += time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)
        except OSError:
            pass  # it has ended
    return total


def memory_megabytes(pids):
    """(PSS, RSS) of processes together, in units of 10^6 bytes. PSS divides a shared page among those that share it."""
    kibibytes = {"Pss:": 0, "Rss:": 0}
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, rest = line.partition(" ")
            if name in kibibytes:
                kibibytes[name] += int(rest.split()[0])
    return tuple(kibibytes[name] * 1024 / 1e6 for name in ("Pss:", "Rss:"))


class Processes:
    """All children of one row. `end_all` ends them, whatever happened."""

    def __init__(self, folder):
        self.folder = folder
        self.commands = []
        self.output = folder / "output.log"
        self._children = []

    def start(self, command, environment=None, cores=None, capture=False):
        """Starts a command in a session of its own; its output goes to the row's log, or is captured."""
        command = [str(part) for part in command]
        if cores is not None:
            command = ["taskset", "-c", ",".join(map(str, cores)), *command]
        self.commands.append(shlex.join(command))
        with self.output.open("ab") as log:
            child = subprocess.Popen(
                command,
                env=self._environment(environment),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if capture else log,
                stderr=subprocess.PIPE if capture else log,
                text=True,
                start_new_session=True,
            )
        self._children.append(child)
        return child

    def run(self, command, limit, environment=None, cores=None):
        """Runs a command to its end, at most `limit` seconds, and gives its standard output."""
        return self.finish(self.start(command, environment, cores, capture=True), limit)

    def finish(self, child, limit):
        """Waits for a captured command, at most `limit` seconds, and gives its standard output."""
        try:
            output, errors = child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise Failure(f"`{shlex.join(child.args)}` took longer than {limit:.0f} s") from None
        if child.returncode != 0:
            said = (errors.strip() or output.strip())[-400:]
            raise Failure(f"`{shlex.join(child.args)}` ended with {child.returncode}: {said}")
        return output

    def tail(self, characters=400):
        """The end of what the children wrote."""
        try:
            return self.output.read_text(errors="replace")[-characters:].strip()
        except OSError:
            return ""

    def end_all(self):
        """Asks all children to end, then kills what is left of them, and reaps."""
        for pid in self._direct():
            _signal(pid, signal.SIGTERM)
        deadline = time.monotonic() + FAREWELL_SECONDS
        while self._reap() and time.monotonic() < deadline:
            time.sleep(0.01)
        while self._reap():
            for pid in tree(os.getpid())[1:]:
                _signal(pid, signal.SIGKILL)
            time.sleep(0.005)
        for child in self._children:
            for stream in (child.stdout, child.stderr):
                if stream is not None:
                    stream.close()
        self._children.clear()

    def _environment(self, environment):
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        return inherited | {name: str(value) for name, value in (environment or {}).items()}

    def _direct(self):
        return [pid for pid in tree(os.getpid())[1:] if (_stat(pid) or ("", 0))[1] == os.getpid()]

    def _reap(self):
        """Collects the dead, so that their CPU counts as ours; whether any child is left, and so any descendant."""
        for child in self._children:
            child.poll()
        started = {child.pid for child in self._children if child.returncode is None}
        left = False
        for name in os.listdir("/proc"):
            stat = _stat(name) if name.isdigit() else None
            if stat is None or stat[1] != os.getpid():
                continue
            left = True
            if stat[0] == "Z" and int(name) not in started:
                os.waitpid(int(name), os.WNOHANG)
        return left


def _signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it ended by itself meanwhile
