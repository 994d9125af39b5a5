"""Who disturbed a measurement: what the machine could do before and after it, and what others used while it ran.

The spin capacity is what all cores do together in an empty loop; it falls when other processes take cores, and also
when the machine's host does, which no counter in here shows. The foreign CPU is what all processes but ours used.
"""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

SPIN_SECONDS = 0.2
SPIN_PROGRAM = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
ends = time.perf_counter() + float(sys.argv[2])
turns = 0
while time.perf_counter() < ends:
    turns += 1
print(turns)
"""
SPIN_LIMIT_SECONDS = 30
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def spin_capacity():
    """Million turns per second of all available cores together, right now."""
    command = [sys.executable, "-I", "-S", "-c", SPIN_PROGRAM]
    spinners = [
        subprocess.Popen([*command, str(core), str(SPIN_SECONDS)], stdout=subprocess.PIPE, text=True)
        for core in sorted(os.sched_getaffinity(0))
    ]
    turns = [int(spinner.communicate(timeout=SPIN_LIMIT_SECONDS)[0]) for spinner in spinners]
    return round(sum(turns) / SPIN_SECONDS / 1e6, 2)


class Foreign:
    """The CPU that others use, from now until `cores()` is asked. Our children must have been reaped by then."""

    def __init__(self):
        self._started = (time.monotonic(), _machine_seconds(), _own_seconds())

    def cores(self):
        """(cores used by others, cores that the machine's host took away), on average."""
        then, (busy_then, stolen_then), own_then = self._started
        elapsed = time.monotonic() - then
        busy, stolen = _machine_seconds()
        others = (busy - busy_then) - (_own_seconds() - own_then)
        return round(max(0.0, others / elapsed), 3), round((stolen - stolen_then) / elapsed, 3)


def _machine_seconds():
    """(CPU used by processes, CPU stolen by the host), since the machine started."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, stolen = ticks[0], ticks[1], ticks[2], ticks[7]
    return (user + nice + system) / TICKS_PER_SECOND, stolen / TICKS_PER_SECOND


def _own_seconds():
    """CPU of this process and of all its descendants that have been reaped."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Judge:
    """Decides whether a row was disturbed."""

    def __init__(self, foreign_max, spin_min):
        self.foreign_max = foreign_max
        self.spin_min = spin_min
        self.spin_best = max(spin_capacity() for _ in range(3))

    def probe(self):
        """The spin capacity; asked again if it is low, because a moment's burst after a row did not disturb the row."""
        first = spin_capacity()
        return first if first >= self.spin_min * self.spin_best else max(first, spin_capacity())

    def is_disturbed(self, spins, foreign):
        """Others used more than they may, or the machine was slower than the fastest it has been in this run."""
        self.spin_best = max([self.spin_best, *spins])
        return foreign > self.foreign_max or min(spins) < self.spin_min * self.spin_best
