"""BENCHMARKS.md: hand-written words, and between markers a block per scenario that is written by a run. Pure but for `update`."""

from . import report


class Unmarked(Exception):
    """A document without the markers of a scenario."""


def markers(letter):
    """The lines between which a scenario's block stands."""
    return f"<!-- bench:{letter} written by `bench/run --write`; do not edit -->", f"<!-- /bench:{letter} -->"


def replaced(text, letter, block):
    """The document with another block for one scenario."""
    begins, ends = markers(letter)
    before, found_begin, rest = text.partition(begins)
    _, found_end, after = rest.partition(ends)
    if not found_begin or not found_end:
        raise Unmarked(f"the markers of scenario `{letter}` are missing: {begins} {ends}")
    return f"{before}{begins}\n\n{block}\n\n{ends}{after}"


def update(path, scenarios, run, rows):
    """Writes the blocks of all scenarios that have rows."""
    text = path.read_text()
    for scenario in scenarios:
        its_rows = [row for row in rows if row["scenario"] == scenario.letter]
        if its_rows:
            text = replaced(text, scenario.letter, report.section(scenario, run, its_rows))
    path.write_text(text)
