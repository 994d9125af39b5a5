"""Runs scenarios: repetitions outermost, so that contenders take turns and a slow minute hits all of them alike.

Each row gets a folder and children of its own, is bounded in time, and is judged by the noise around it; a disturbed or
failed one is measured again, a few times. Every row goes to the file at once, the disturbed ones too.
"""

import json
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .noise import Foreign, Judge
from .processes import Failure, Processes
from .scenarios.base import Row

ROW_LIMIT_SECONDS = 180
# For every second that a load lasts: warming up, two loads in one row, and room.
ROW_LIMIT_PER_SECOND = 4


@dataclass(frozen=True)
class Plan:
    """How often, how long, how strictly."""

    reps: int
    retries: int
    families: tuple[str, ...]


class Turns:
    """A run in progress."""

    def __init__(self, plan, setting, judge: Judge, file):
        self._plan = plan
        self._setting = setting
        self._judge = judge
        self._file = file
        self._spin = judge.probe()
        self.rows = []

    def run(self, scenario):
        """All loads and repetitions of a scenario."""
        contenders = [one for one in scenario.contenders if one.family in self._plan.families]
        for rep in range(1, self._plan.reps + 1):
            # Each repetition begins with another contender: nobody is always the one after the heaviest.
            first = (rep - 1) % max(1, len(contenders))
            for load in scenario.loads:
                for contender in contenders[first:] + contenders[:first]:
                    self._until_clean(scenario, load, contender, rep)

    def _until_clean(self, scenario, load, contender, rep):
        for attempt in range(1 + self._plan.retries):
            row = self._measure(scenario, load, contender)
            row |= {"rep": rep, "attempt": attempt + 1}
            self.rows.append(row)
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
            _tell(row)
            if not row["disturbed"] and "error" not in row:
                return

    def _measure(self, scenario, load, contender):
        row = {"type": "row", "scenario": scenario.letter, "load": load, "label": contender.label}
        spin_before, foreign = self._spin, Foreign()
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
            processes = Processes(Path(folder))
            limit = max(ROW_LIMIT_SECONDS + ROW_LIMIT_PER_SECOND * self._setting.seconds, scenario.limit_seconds)
            try:
                with time_limit(limit):
                    metrics = scenario.measure(Row(processes, self._setting, load, contender))
                row["metrics"] = {name: _rounded(value) for name, value in metrics.items()}
            except (Failure, OSError, ValueError, LookupError, subprocess.SubprocessError) as error:
                said = processes.tail()
                row["error"] = f"{error}" + (f"; it said: {said}" if said else "")
            finally:
                processes.end_all()
            row["commands"] = processes.commands
        row["foreign"], row["stolen"] = foreign.cores()
        self._spin = self._judge.probe()
        row["spin"] = [spin_before, self._spin]
        row["disturbed"] = self._judge.is_disturbed(row["spin"], row["foreign"])
        return row


@contextmanager
def time_limit(seconds):
    """Fails what takes longer."""

    def expired(_signal, _frame):
        raise Failure(f"the row took longer than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(max(1, round(seconds)))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _rounded(value):
    return round(value, 4) if isinstance(value, float) else value


def _tell(row):
    """One line of progress."""
    where = " ".join(part for part in (row["scenario"], row["load"], row["label"].replace("*", "")) if part)
    noise = f"foreign {row['foreign']:.2f} spin {row['spin'][0]:g}/{row['spin'][1]:g}"
    mark = " DISTURBED" if row["disturbed"] else ""
    what = row.get("error") or " ".join(f"{name}={value:g}" for name, value in row["metrics"].items())
    print(f"[{row['rep']}.{row['attempt']}] {where}: {what} ({noise}){mark}", file=sys.stderr, flush=True)
