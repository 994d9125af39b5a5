"""(k) What it costs to keep what a program prints."""

import time
from dataclasses import replace

from ..contenders import Pm2, Program, SteadInBackground
from ..processes import Failure, cpu_seconds, memory_megabytes
from .base import Column, Scenario, at_most, figure

MEGABYTES = 100
LIMIT_SECONDS = 120


def measure(row):
    """Until the program has got rid of everything it had to print, and what the manager used for it."""
    alone = replace(row, setting=replace(row.setting, workers=1))
    contender = alone.contend(Program("printer", prints_megabytes=MEGABYTES))
    contender.serve()
    pids = contender.manager_pids()
    before, started = cpu_seconds(pids), time.monotonic()
    done = contender.folder / "printed"
    (contender.folder / "print").touch()
    while not done.exists():
        if time.monotonic() - started > LIMIT_SECONDS:
            raise Failure(f"not printed within {LIMIT_SECONDS} s")
        time.sleep(0.005)
    elapsed, used = time.monotonic() - started, cpu_seconds(pids) - before
    return {
        "megabytes_per_second": MEGABYTES / elapsed,
        "cpu_ms_per_megabyte": used * 1000 / MEGABYTES,
        "pss_after": memory_megabytes(contender.manager_pids())[0],
    }


def goals(figures):
    """Cheaper than the one people come from."""
    mine = figure(figures, "", SteadInBackground.label, "cpu_ms_per_megabyte")
    theirs = figure(figures, "", Pm2.label, "cpu_ms_per_megabyte")
    return [at_most("CPU per MB: at most that of PM2", mine, theirs, " ms")]


SCENARIO = Scenario(
    letter="k",
    title="Logs",
    about=(
        f"One copy prints {MEGABYTES} MB in lines of 100 bytes as fast as it is let (and waits when its output is full); the manager writes them "
        "to its log files. CPU is that of the manager's processes. Stead marks each line with time and instance and rotates; PM2 does neither."
    ),
    contenders=(Pm2, SteadInBackground),
    columns=(
        Column("megabytes_per_second", "MB/s", digits=1),
        Column("cpu_ms_per_megabyte", "CPU ms per MB", digits=1),
        Column("pss_after", "PSS MB after", digits=1),
    ),
    measure=measure,
    goals=goals,
)
