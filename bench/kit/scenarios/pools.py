"""(q) Pools: tasks that do nothing, one lone task, tasks that compute, tasks that are on disk before they are accepted."""

from ..contenders import pools, stead_pools
from .base import STEAD, Column, Scenario, at_least, at_most, figure

TIMES_WORKERPOOL = 3
LONE_ALLOWANCE_US = 60
PART_OF_IDEAL = 0.95
TIMES_BULLMQ = 5
# They differ in the workers.
MAPS = (stead_pools.SteadMap, stead_pools.SteadMapEnvelope, stead_pools.SteadMapSdk)
DURABLE = (stead_pools.SteadPoolDurable, stead_pools.SteadPoolDurableSdk)


def measure(row):
    """The figures of a pool, and which part of all cores its tasks got."""
    metrics = row.contender.measure(row)
    return metrics | {"share": metrics["cpu_per_s"] / metrics["ideal_per_s"]}


def goals(figures):
    """As fast as nothing but Node.js, far faster than what people take, and all cores for the tasks."""

    def of(contender, metric, times=1.0, more=0.0):
        value = figure(figures, "", contender.label, metric)
        return None if value is None else value * times + more

    def best(rates):
        return max((rate for rate in rates if rate is not None), default=None)

    best_map = best(of(one, "noop_per_s") for one in MAPS)
    return [
        at_least(
            "`stead map`, the best of its rows: at least as many no-op tasks/s as Node's own fork pool",
            best_map,
            of(pools.ForkPool, "noop_per_s"),
            "/s",
        ),
        at_least(
            f"`stead map`, the best of its rows: at least {TIMES_WORKERPOOL} times workerpool's no-op tasks/s",
            best_map,
            of(pools.WorkerPool, "noop_per_s", TIMES_WORKERPOOL),
            "/s",
        ),
        at_most(
            f"a lone task from a Node.js program: at most {LONE_ALLOWANCE_US} us more than the fork pool's",
            of(stead_pools.SteadPool, "lone_us"),
            of(pools.ForkPool, "lone_us", more=LONE_ALLOWANCE_US),
            " us",
        ),
        at_least(
            f"`stead map`, tasks of 1 ms: {PART_OF_IDEAL:.0%} of the cores", of(stead_pools.SteadMap, "share"), PART_OF_IDEAL
        ),
        at_least(f"pool, tasks of 1 ms: {PART_OF_IDEAL:.0%} of the cores", of(stead_pools.SteadPool, "share"), PART_OF_IDEAL),
        at_least(
            f"durable tasks/s, the best of its rows: at least {TIMES_BULLMQ} times BullMQ's",
            best(of(one, "noop_per_s") for one in DURABLE),
            of(pools.BullMqDurable, "noop_per_s", TIMES_BULLMQ),
            "/s",
        ),
    ]


SCENARIO = Scenario(
    letter="q",
    title="Pools of workers",
    about=(
        "As many workers as cores. Tasks that do nothing and tasks of a millisecond of CPU, 64 on their way (BullMQ and durable: up "
        "to a thousand; Celery: 200; `map`: a file of them); all after half a second to get warm; and the median time of one that does "
        "nothing while there is no other. *Of the cores* is how many tasks of a millisecond came back, against as many processes with "
        "the same loop and nobody to give them tasks, measured right before and after. "
        "Stead's pools are under a daemon, and so is the Node.js program that gives them their tasks, by `process.send`; workers are "
        "the unmodified ones of Node's own fork pool where nothing else is said. A durable task is on disk before it is accepted, and its end "
        "before anybody is told, as with BullMQ where Redis writes always. Celery's workers and tasks are Python."
    ),
    contenders=(
        pools.ForkPool,
        pools.Piscina,
        pools.WorkerPool,
        pools.BullMq,
        pools.BullMqDurable,
        pools.Celery,
        *MAPS,
        stead_pools.SteadPool,
        stead_pools.SteadPoolSdk,
        stead_pools.SteadPoolHttp,
        *DURABLE,
    ),
    columns=(
        Column("noop_per_s", "no-op tasks/s"),
        Column("lone_us", "a lone one us"),
        Column("cpu_per_s", "1 ms tasks/s"),
        Column("share", "of the cores", digits=2),
        Column("driver_us", "CPU us per task of who gives them", digits=1),
    ),
    measure=measure,
    goals=goals,
    limit_seconds=240,
)
