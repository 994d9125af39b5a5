"""(r) A process per task: `stead map` with `{}`, GNU parallel, xargs."""

import resource
import shlex
import time

from ..contenders import Command
from ..processes import Failure
from .base import STEAD, Column, Scenario, at_least, figure

# Of the seconds of a load, at the rate of the slower ones.
TASKS_PER_SECOND = 100
LIMIT_SECONDS = 120

XARGS = Command("xargs", "`xargs -P`", lambda _: ["xargs", "-n", 1, "-P"], ("xargs",))
PARALLEL = Command("parallel", "GNU `parallel`", lambda _: ["parallel", "-j"], ("parallel",))
MAP = Command("stead", f"{STEAD} `map` with `{{}}`", lambda tools: [tools.stead, "map", "-n"])
# xargs puts the argument at the end by itself.
TASKS = {"xargs": ["/bin/echo"], "parallel": ["/bin/echo", "{}"], "stead": ["--", "/bin/echo", "{}"]}


def measure(row):
    """The whole command, its start included; CPU of all processes together."""
    folder, count = row.processes.folder, round(TASKS_PER_SECOND * row.setting.seconds)
    lines, results = folder / "lines", folder / "results"
    lines.write_text("".join(f"{number}\n" for number in range(count)))
    at_once = row.setting.workers if row.load == "cores" else 8
    words = [*row.contender.words(row.setting.tools), at_once, *TASKS[row.contender.family]]
    command = shlex.join(map(str, words))
    used, begun = _cpu_seconds(), time.monotonic()
    # GNU parallel asks in its home for a citation once and for all.
    environment = {"HOME": folder, "STEAD_HOME": folder / "home"}
    row.processes.run(["sh", "-c", f"exec {command} < {lines} > {results}"], LIMIT_SECONDS, environment)
    elapsed, used = time.monotonic() - begun, _cpu_seconds() - used
    if sorted(results.read_text().split(), key=int) != [str(number) for number in range(count)]:
        raise Failure(f"not every task has its one result: {results.read_text()[-200:]}")
    return {"per_s": count / elapsed, "cpu_ms": used / count * 1000}


def _cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def goals(figures):
    """Not slower than what is used for it."""
    return [
        at_least(
            f"{title}: at least as many as GNU parallel",
            figure(figures, load, MAP.label, "per_s"),
            figure(figures, load, PARALLEL.label, "per_s"),
            "/s",
        )
        for load, title in LOADS.items()
    ]


LOADS = {"cores": "as many at once as cores", "eight": "eight at once"}
SCENARIO = Scenario(
    letter="r",
    title="A process per task",
    about=(
        "Lines of a file, `/bin/echo` started for each, output into a file; the whole command counts. GNU parallel and `stead map` "
        "keep the output of each task together (and `stead map` in order); xargs lets them write as they like. *CPU* is that of "
        "everything, the tasks included."
    ),
    contenders=(XARGS, PARALLEL, MAP),
    columns=(Column("per_s", "tasks/s"), Column("cpu_ms", "CPU ms per task", digits=2)),
    measure=measure,
    goals=goals,
    loads=LOADS,
)
