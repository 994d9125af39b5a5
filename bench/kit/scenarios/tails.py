"""(t) Latency at a rate that waits for nobody, and what many workers cost."""

from .. import load
from .base import STEAD, Column, Scenario, at_most, figure
from .proxied import CLIENTS, HaProxyAlone, NginxAlone, SteadAlone, generate, measure_with

FEW, MANY = 2, 64
# Requests per second, kept connections or not: what leaves the core of clients and server half idle.
KEPT_RATE, NEW_RATE = 15_000, 5_000
KEPT, NEW = f"{KEPT_RATE:,} requests/s, kept connections", f"{NEW_RATE:,} requests/s, a connection per request"
LOADS = {
    f"{FEW} workers, keep-alive": f"{FEW} workers, without pause on kept connections (`wrk`)",
    f"{MANY} workers, keep-alive": f"{MANY} workers, without pause on kept connections (`wrk`)",
    KEPT: f"{FEW} workers, {KEPT} (`stead-load --rate`)",
    NEW: f"{FEW} workers, {NEW} (`stead-load --rate`)",
}
# What two rows of the same thing differ by on a machine that is not quite still.
NOISE = 1.05


def measure(row):
    """CPU time of the proxy divided by requests, and how long its clients wait."""
    return measure_with(row, generate_at_rate, MANY if row.load.startswith(str(MANY)) else FEW)


def generate_at_rate(row, port, seconds, core):
    """The load: without pause, or with a rate."""
    rate = {KEPT: KEPT_RATE, NEW: NEW_RATE}.get(row.load)
    if not rate:
        return generate(row, port, seconds, core)
    tool, kept = row.setting.tools.load, row.load == KEPT
    return load.Load(row.processes, tool, port, CLIENTS, seconds, keep_alive=kept, cores=[core], rate=rate).finish()


def goals(figures):
    """The slowest of a thousand wait less than before HAProxy; workers cost nothing by their number."""
    few, many = (figure(figures, f"{count} workers, keep-alive", STEAD, "us") for count in (FEW, MANY))
    return [
        at_most(
            f"p99.9 at {name}: at most that of HAProxy",
            figure(figures, name, STEAD, "p999_ms"),
            figure(figures, name, HaProxyAlone.label, "p999_ms"),
            " ms",
        )
        for name in (KEPT, NEW)
    ] + [
        at_most(
            f"CPU per request with {MANY} workers: at most {NOISE} times that with {FEW}",
            many,
            None if few is None else few * NOISE,
            " us",
        )
    ]


SCENARIO = Scenario(
    letter="t",
    title="The slowest of a thousand, and many workers",
    about=(
        f"As (g), over Unix sockets to one server that listens on {FEW} or {MANY} of them, {CLIENTS} connections of clients. With a rate, "
        "requests are due by the clock, whether answers keep up or not, and their latency counts from then on: an answer that is late makes "
        "those behind it late too."
    ),
    contenders=(NginxAlone, HaProxyAlone, SteadAlone),
    columns=(
        Column("us", "us per request", digits=1),
        Column("per_second", "requests/s"),
        Column("p50_ms", "p50 ms", digits=2),
        Column("p99_ms", "p99 ms", digits=2),
        Column("p999_ms", "p99.9 ms", digits=2),
        Column("failed", "failed", how="sum"),
        Column("never_sent", "never sent", how="sum"),
    ),
    measure=measure,
    goals=goals,
    loads=LOADS,
    needs=("wrk", "nginx", "taskset"),
)
