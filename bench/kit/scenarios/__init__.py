"""What is measured, in the order of the report. `base.py` says what a scenario is."""

from . import (
    cpu,
    crashes,
    flat,
    hello,
    idle,
    logs,
    many,
    memory,
    proxied,
    reload,
    replacement,
    routes,
    start,
    upgrade,
)

SCENARIOS = (
    cpu.SCENARIO,
    hello.SCENARIO,
    crashes.SCENARIO,
    reload.SCENARIO,
    memory.SCENARIO,
    start.SCENARIO,
    proxied.SCENARIO,
    replacement.SCENARIO,
    upgrade.SCENARIO,
    many.SCENARIO,
    logs.SCENARIO,
    flat.SCENARIO,
    routes.SCENARIO,
    idle.SCENARIO,
)
