"""What a scenario is: loads, contenders, a function that measures one of each, columns, and goals."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ..contenders import Program, Setting
from ..processes import Processes


@dataclass(frozen=True)
class Column:
    """A metric in the table, and how the figures of several repetitions become one.

    `how`: `median`; `worst` (the largest); `sum`; `classes` (text: the sums of the metrics whose name begins so).
    """

    metric: str
    heading: str
    how: str = "median"
    digits: int = 0


@dataclass(frozen=True)
class Goal:
    """What Stead is meant to reach, and whether it did in these results; `met` is None where it cannot be said."""

    text: str
    measured: str
    met: bool | None


@dataclass(frozen=True)
class Row:
    """One measurement that is about to take place."""

    processes: Processes
    setting: Setting
    load: str
    contender: type

    def contend(self, program: Program):
        """The contender, not started."""
        return self.contender(self.processes, self.setting, program)


@dataclass(frozen=True)
class Scenario:
    """See the module."""

    letter: str
    title: str
    # What is done, in whole sentences; it stands above the table.
    about: str
    contenders: tuple[type, ...]
    columns: tuple[Column, ...]
    # From a row to its metrics; numbers by name.
    measure: Callable[[Row], dict]
    # From `figures[load][label][metric]` to goals.
    goals: Callable[[dict], list[Goal]]
    # A key and a title each; a table for each.
    loads: dict[str, str] = field(default_factory=lambda: {"": ""})
    needs: tuple[str, ...] = ()
    # Longest time of one row, where that of all others is not enough.
    limit_seconds: float = 0.0


STEAD = "**Stead**"


def at_most(text, value, limit, unit=""):
    """A goal that a value stays within a limit; either may be missing."""
    if value is None or limit is None:
        return Goal(text, "not measured", None)
    return Goal(text, f"{_short(value)} against {_short(limit)}{unit}", value <= limit)


def at_least(text, value, limit, unit=""):
    """A goal that a value reaches a limit; either may be missing."""
    if value is None or limit is None:
        return Goal(text, "not measured", None)
    return Goal(text, f"{_short(value)} against {_short(limit)}{unit}", value >= limit)


def none(text, value):
    """A goal that something did not happen."""
    return Goal(text, "not measured" if value is None else f"{value:,}", None if value is None else value == 0)


def figure(figures, load, label, metric):
    """One figure, or None."""
    return figures.get(load, {}).get(label, {}).get(metric)


def best_peer(figures, load, metric):
    """The largest figure among all but Stead, or None."""
    peers = [values.get(metric) for label, values in figures.get(load, {}).items() if label != STEAD]
    return max((value for value in peers if value is not None), default=None)


def _short(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
