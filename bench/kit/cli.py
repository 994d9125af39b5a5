"""The options, and the order in which things happen: find, build, measure, report."""

import argparse
import json
import os
import shlex
import signal
import sys
import time
from pathlib import Path

from . import document, machine, noise, parts, processes, report, tools, turns
from .contenders import FAMILIES, Setting
from .scenarios import SCENARIOS

# The least number of repetitions for figures that are published.
PUBLISHED_REPS_MIN = 3
CPU_MILLISECONDS = 10
# Scenarios whose program burns that much for each request, or a part of it for each task.
CALIBRATED = {"a", "c", "q"}
RESULTS = tools.CACHE / "results"
DOCUMENT = tools.ROOT / "BENCHMARKS.md"


def main(words):
    """0: every row was measured; 1: some failed; 2: wrong usage or something is missing; 130: interrupted."""
    options = parse(words)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        if options.source:
            return rewrite(options)
        return measure(options, words)
    except (processes.Failure, document.Unmarked) as failure:
        print(f"bench/run: {failure}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench/run: interrupted; the rows so far are in the results file", file=sys.stderr)
        return 130


def parse(words):
    """The options, checked."""
    letters = ", ".join(f"{scenario.letter} {scenario.title}" for scenario in SCENARIOS)
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description="Measures Stead beside its peers, in turns.",
        epilog=f"Scenarios: {letters}.",
    )
    every = ",".join(scenario.letter for scenario in SCENARIOS)
    cores = len(os.sched_getaffinity(0))
    add = parser.add_argument
    add("--scenarios", default=every, metavar="LETTERS", help="which, separated by commas (default: all)")
    add("--only", default=",".join(FAMILIES), metavar="NAMES", help=f"contenders (default: {','.join(FAMILIES)})")
    add("--reps", type=int, default=3, help="repetitions of every row (default: 3)")
    add("--seconds", type=float, default=10.0, help="length of a load (default: 10)")
    add("--workers", type=int, default=cores, help="copies of the program (default: available cores)")
    add("--retries", type=int, default=2, help="how often a disturbed row is measured again (default: 2)")
    add(
        "--foreign-max",
        type=float,
        default=0.1,
        help="cores that other processes may use before a row counts as disturbed (default: 0.1)",
    )
    add(
        "--spin-min",
        type=float,
        default=0.85,
        help="part of the run's best spin capacity below which a row counts as disturbed (default: 0.85)",
    )
    add("--stead", metavar="PATH", help="measure this binary instead of building one")
    add("--write", action="store_true", help="write the tables into BENCHMARKS.md")
    add("--from", dest="source", metavar="FILE", type=Path, help="measure nothing, report an earlier run's file")
    add("--document", type=Path, default=DOCUMENT, metavar="FILE", help="instead of BENCHMARKS.md")
    options = parser.parse_args(words)
    options.scenarios = chosen(parser, options.scenarios, every.split(","), "scenario")
    options.only = chosen(parser, options.only, list(FAMILIES), "contender")
    if options.reps < 1 or options.seconds <= 0 or options.workers < 1 or options.retries < 0:
        parser.error("--reps, --seconds and --workers begin at 1, --retries at 0")
    if options.write and not options.source:
        if options.reps < PUBLISHED_REPS_MIN:
            parser.error(f"--write needs --reps {PUBLISHED_REPS_MIN} or more: fewer are no figures to publish")
        if len(options.only) < len(FAMILIES):
            parser.error("--write needs all contenders: without --only")
    return options


def chosen(parser, text, known, what):
    """A list from the command line; each of its words has to be known."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in known]
    if unknown or not words:
        parser.error(f"unknown {what} `{', '.join(unknown)}`: there are {', '.join(known)}")
    return [word for word in known if word in words]


def measure(options, words):
    """A whole run."""
    scenarios = [scenario for scenario in SCENARIOS if scenario.letter in options.scenarios]
    tools.require(needed_programs(scenarios, options.only))
    letters = {scenario.letter for scenario in scenarios}
    found = tools.build(options.stead)
    found.parts, found.missing = parts.gather(needed_parts(scenarios, options.only))
    loops = tools.calibrate(CPU_MILLISECONDS) if letters & CALIBRATED else 0
    setting = Setting(options.workers, options.seconds, found, loops)
    processes.adopt_orphans()
    run = describe(options, words, found, loops)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{run['time'].replace(':', '')}.jsonl"
    plan = turns.Plan(options.reps, options.retries, tuple(options.only))
    with path.open("w") as file:
        file.write(json.dumps(run) + "\n")
        judge = noise.Judge(options.foreign_max, options.spin_min)
        turn = turns.Turns(plan, setting, judge, file)
        for scenario in scenarios:
            turn.run(scenario)
    return publish(options, run, turn.rows, path)


def needed_programs(scenarios, families):
    """What has to be installed for these scenarios with these contenders."""
    names = {"cargo"}
    for scenario in scenarios:
        contenders = [one for one in scenario.contenders if one.family in families]
        names.update(scenario.needs if contenders else (), *(one.needs for one in contenders))
    return names


def needed_parts(scenarios, families):
    """What has to be built or installed by ourselves, each once, in the order of the scenarios."""
    contenders = [one for scenario in scenarios for one in scenario.contenders if one.family in families]
    return list(dict.fromkeys(part for one in contenders for part in getattr(one, "parts", ())))


def describe(options, words, found, loops):
    """The first line of the results file."""
    return {
        "type": "run",
        "time": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "command": shlex.join(["bench/run", *words]),
        "machine": machine.describe(),
        "versions": machine.versions(found),
        "revision": machine.revision(tools.ROOT),
        "workers": options.workers,
        "reps": options.reps,
        "seconds": options.seconds,
        "loops_of_10_ms": loops,
        "foreign_max": options.foreign_max,
        "spin_min": options.spin_min,
    }


def rewrite(options):
    """Reports a file of an earlier run."""
    try:
        lines = [json.loads(line) for line in options.source.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise processes.Failure(f"cannot read `{options.source}`: {error}") from None
    if not lines or lines[0].get("type") != "run":
        raise processes.Failure(f"`{options.source}` is not a results file")
    rows = [line for line in lines[1:] if line["scenario"] in options.scenarios]
    return publish(options, lines[0], rows, options.source)


def publish(options, run, rows, path):
    """Prints the tables, and writes them where they were asked for."""
    for scenario in SCENARIOS:
        its_rows = [row for row in rows if row["scenario"] == scenario.letter]
        if its_rows:
            text = f"## ({scenario.letter}) {scenario.title}\n\n{report.section(scenario, run, its_rows)}\n"
            print(text, flush=True)
    print(f"Run {run['time']}: {report.provenance(run)}", flush=True)
    if options.write:
        document.update(options.document, SCENARIOS, run, rows)
        print(f"written: {options.document}", file=sys.stderr)
    print(f"rows: {path}", file=sys.stderr)
    return 1 if any("error" in row for row in rows) else 0


def _interrupt(_signal, _frame):
    raise KeyboardInterrupt
