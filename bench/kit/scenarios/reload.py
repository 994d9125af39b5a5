"""(d) Replacing all copies under load, again and again."""

from ..contenders import Cluster, HaProxyRetry, NginxNextUpstream, Pm2, Program, Stead
from .base import Scenario
from .disturbed import CLIENTS, LOADS, account, columns, goals

PAUSE_SECONDS = 0.3


def measure(row):
    """The account of every request while one reload follows the other."""
    contender = row.contend(Program("hello", graceful=True, dies=True))
    contender.serve()
    return account(row, contender, contender.replace_workers, "reload", PAUSE_SECONDS)


SCENARIO = Scenario(
    letter="d",
    title="Reload under load",
    about=(
        f"All copies are replaced one by one, with a pause of {PAUSE_SECONDS:g} s after each round, for as long as the load lasts "
        f"({CLIENTS} clients without pause, `stead-load`): latencies are those *during* reloads. Each contender does it its own way: "
        "`stead reload`, `pm2 reload`, in the cluster a new worker before the old one disconnects. Copies behind NGINX "
        "and HAProxy get SIGTERM, finish what they have (`server.close()`), and are started again by a loop in a shell."
    ),
    contenders=(Cluster, Pm2, NginxNextUpstream, HaProxyRetry, Stead),
    columns=columns("reload"),
    measure=measure,
    goals=goals,
    loads=LOADS,
)
