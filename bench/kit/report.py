"""The Markdown of a scenario: what was done, a table per load, goals; and of a run: what it was measured on. Pure."""

from . import results
from .scenarios.base import STEAD

MET = {True: "met", False: "**missed**", None: "open"}
ERROR_CHARACTERS_MAX = 160


def unmeasured(scenario):
    """A scenario before its first run, without a heading."""
    return f"{scenario.about}\n\n{goal_table(scenario.goals({}))}"


def section(scenario, run, rows):
    """Everything about one scenario of one run, without a heading; the run by its name."""
    figures = results.combine(rows, scenario.columns)
    trouble = results.trouble(rows)
    parts = [scenario.about]
    for load, title in scenario.loads.items():
        if load not in figures:
            continue
        if title:
            parts.append(f"{title}:")
        parts.append(table(scenario, figures[load], trouble[load]))
        parts += notes(trouble[load])
    goals = scenario.goals(figures)
    if any(label.startswith(STEAD) for contenders in figures.values() for label in contenders):
        parts.append(goal_table(goals))
    parts.append(f"Run {run['time']}.")
    return "\n\n".join(parts)


def table(scenario, figures, trouble):
    """A row per contender; columns that nobody has are left out."""
    shown = [
        column
        for column in scenario.columns
        if any(values.get(column.metric) not in (None, "") for values in figures.values())
    ]
    header = ["", *(column.heading for column in shown)]
    alignment = ["---", *("---" if column.how == "classes" else "---:" for column in shown)]
    labels = [contender.label for contender in scenario.contenders if contender.label in figures]
    lines = []
    for label in labels:
        mark = " \\*" if trouble[label] else ""
        cells = [cell(figures[label].get(column.metric), column) for column in shown]
        lines.append([label + mark, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, alignment, *lines])


def cell(value, column):
    """A figure as it stands in the table."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value or "-"
    return f"{value:,.{column.digits}f}"


def notes(trouble):
    """What the stars mean."""
    named = {label.replace("*", ""): its for label, its in trouble.items()}
    disturbed = [f"{name} ({its.disturbed} of {its.repetitions})" for name, its in named.items() if its.disturbed]
    elsewhere = [f"{name} {its.lost_elsewhere:,}" for name, its in named.items() if its.lost_elsewhere]
    lines = []
    if disturbed:
        said = "Repetitions during which others used the machine, or it was slowed down"
        lines.append(f"\\* {said}: {', '.join(disturbed)}.")
    if elsewhere:
        lines.append(f"\\* Lost in repetitions that were disturbed, measured again and not counted: {', '.join(elsewhere)}.")
    for name, its in named.items():
        lines += [f"\\* Failed: {name}: {one_line(error)}" for error in its.errors]
    return lines


def one_line(text):
    """A text that fits into a sentence of a table's note."""
    joined = " ".join(text.split()).replace("|", "/").replace("<", "&lt;")
    return joined if len(joined) <= ERROR_CHARACTERS_MAX else joined[:ERROR_CHARACTERS_MAX] + " ..."


def goal_table(goals):
    """What Stead is meant to reach here."""
    lines = [f"| {goal.text} | {goal.measured} | {MET[goal.met]} |" for goal in goals]
    return "\n".join(["| The project's goal for Stead | measured | |", "|---|---|---|", *lines])


def provenance(run):
    """Machine, versions, command: enough to repeat it."""
    machine = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    revision = f", commit {run['revision']}" if run.get("revision") else ""
    return (
        f"{machine['cpu']}, {machine['cores_available']} cores, {machine['memory_gib']:g} GiB, {machine['system']}, "
        f"{machine['kernel']}. {versions}{revision}. {run['workers']} copies, {run['reps']} repetitions of {run['seconds']:g} s. "
        f"Command: `{run['command']}`"
    )
