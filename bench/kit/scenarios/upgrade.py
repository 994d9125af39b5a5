"""(i) The manager itself is replaced by a new version, under load, again and again."""

from ..contenders import Pm2, Program, Stead
from .base import Scenario
from .disturbed import CLIENTS, LOADS, account, columns, goals

PAUSE_SECONDS = 0.5


def measure(row):
    """The account of every request while one upgrade follows the other."""
    contender = row.contend(Program("hello", graceful=True))
    contender.serve()
    if row.contender is Pm2:
        contender.run(["save"], 20)
    return account(row, contender, contender.upgrade, "upgrade", PAUSE_SECONDS)


SCENARIO = Scenario(
    letter="i",
    title="Upgrade of the manager under load",
    about=(
        f"The manager is replaced by a new version of itself, with a pause of {PAUSE_SECONDS:g} s after each, for as long as the load "
        f"lasts ({CLIENTS} clients without pause, `stead-load`). `stead upgrade`: a daemon takes over from the one before, the workers "
        "go on. `pm2 update`: the daemon and all copies end, and are started again."
    ),
    contenders=(Pm2, Stead),
    columns=columns("upgrade"),
    measure=measure,
    goals=goals,
    loads=LOADS,
)
