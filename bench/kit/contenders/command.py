"""A contender that is one command, which measures by itself and prints its figures as a line of JSON."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from ..processes import Failure
from ..tools import Tools


@dataclass(frozen=True)
class Command:
    """See the module. `words` are its first ones, before those that are the same for all."""

    family: str
    label: str
    words: Callable[[Tools], list]
    needs: tuple[str, ...] = ()
    parts: tuple = ()

    def figures(self, row, more_words, limit, cores=None):
        """Runs it to its end, at most `limit` seconds."""
        words = [*self.words(row.setting.tools), *more_words]
        return read_figures(row.processes.run(words, limit, cores=cores))


def read_figures(text):
    """The last line of what a program printed, as numbers by name."""
    try:
        found = json.loads(text.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise Failure(f"no figures: {text[-300:]}") from None
    if "error" in found:
        raise Failure(found["error"])
    return found
