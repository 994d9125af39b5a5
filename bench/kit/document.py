"""BENCHMARKS.md: words, and between markers what runs write: a block per scenario, and one with the runs they came from.

Only `update` touches the file. Words outside the markers may be changed by hand.
"""

import re

from . import report

RUNS = "runs"
INTRODUCTION = """# Benchmarks

Stead beside plain Node.js, Node's `cluster`, PM2, NGINX and HAProxy: the same server, the same machine, one run, contenders
in turns; from (o) on its library for processes, and its pools, beside what else there is for that. `bench/run` repeats all of it;
[bench/README.md](bench/README.md) says how, and what is done so that the figures mean something. Only figures of one run may be
compared. A star marks a row that something disturbed.

The goals are the project's own for Stead; a figure beside one reads *Stead's against the limit*.
"""


class Unmarked(Exception):
    """A document without the markers of a block."""


def markers(name):
    """The lines between which a block stands."""
    return f"<!-- bench:{name} written by `bench/run --write`; do not edit -->", f"<!-- /bench:{name} -->"


def block(text, name):
    """What stands between the markers."""
    return _parts(text, name)[1].strip()


def replaced(text, name, content):
    """The document with another block."""
    before, _, after = _parts(text, name)
    begins, ends = markers(name)
    return f"{before}{begins}\n\n{content}\n\n{ends}{after}"


def _parts(text, name):
    begins, ends = markers(name)
    before, found_begin, rest = text.partition(begins)
    within, found_end, after = rest.partition(ends)
    if not found_begin or not found_end:
        raise Unmarked(f"the markers of block `{name}` are missing: {begins} and {ends}")
    return before, within, after


def new(scenarios):
    """The document before the first run."""

    def marked(name, content):
        return "\n\n".join([markers(name)[0], content, markers(name)[1]])

    sections = [
        f"## ({scenario.letter}) {scenario.title}\n\n{marked(scenario.letter, report.unmeasured(scenario))}\n"
        for scenario in scenarios
    ]
    runs = f"## Runs\n\n{marked(RUNS, 'None yet.')}\n"
    return "\n".join([INTRODUCTION, *sections, runs])


def with_run(text, scenarios, run, rows):
    """The document with the blocks of all scenarios that have rows, and the list of the runs that are still shown."""
    for scenario in scenarios:
        its_rows = [row for row in rows if row["scenario"] == scenario.letter]
        if its_rows:
            text = replaced(text, scenario.letter, report.section(scenario, run, its_rows))
    lines = dict(re.findall(r"^- \*\*(\S+)\*\*: (.*)$", block(text, RUNS), re.MULTILINE))
    lines[run["time"]] = report.provenance(run)
    shown = [name for name in sorted(lines) if f"Run {name}." in text]
    return replaced(text, RUNS, "\n".join(f"- **{name}**: {lines[name]}" for name in shown))


def update(path, scenarios, run, rows):
    """Writes a run into the document, which is made if it is not there."""
    text = path.read_text() if path.exists() else new(scenarios)
    path.write_text(with_run(text, scenarios, run, rows))
