"""What is measured, in the order of the report. `base.py` says what a scenario is."""

from . import cpu, crashes, hello, memory, proxied, reload, replacement, start

SCENARIOS = (
    cpu.SCENARIO,
    hello.SCENARIO,
    crashes.SCENARIO,
    reload.SCENARIO,
    memory.SCENARIO,
    start.SCENARIO,
    proxied.SCENARIO,
    replacement.SCENARIO,
)
