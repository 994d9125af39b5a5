"""Celery on Redis: `celery -A celery_tasks worker` runs the tasks, and this file as a program gives them.

BENCH_REDIS_PORT    where Redis listens
python celery_tasks.py drive SECONDS LOOPS     prints what drive.js does
python celery_tasks.py calibrate               prints how many turns of the empty loop are a millisecond here
python celery_tasks.py ideal SECONDS LOOPS     prints {"per_s": ...}: what one core gives when nobody hands out the work
"""

import json
import os
import statistics
import sys
import time
from collections import deque

from celery import Celery

REDIS = f"redis://127.0.0.1:{os.environ.get('BENCH_REDIS_PORT')}/0"
WAITING_MAX = 200
LONE_TASKS = 50
TURNS = 200_000
SAMPLES = 50
PATIENCE_SECONDS = 60

app = Celery("celery_tasks", broker=REDIS, backend=REDIS)


@app.task
def spin(loops):
    """The empty loop."""
    for _ in range(loops):
        pass
    return loops


def loops_of_a_millisecond():
    """As calibrate.js: the fastest of many samples."""
    fastest = min(timed(lambda: spin(TURNS)) for _ in range(SAMPLES))
    return round(TURNS / fastest / 1000)


def timed(function):
    """Seconds that it takes."""
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def flood(seconds, loops):
    """Tasks per second, with many on their way."""
    begun = time.perf_counter()
    waiting, done = deque(), 0
    while waiting or time.perf_counter() - begun < seconds:
        if len(waiting) < WAITING_MAX and time.perf_counter() - begun < seconds:
            waiting.append(spin.delay(loops))
            continue
        if waiting.popleft().get(timeout=PATIENCE_SECONDS) != loops:
            raise ValueError("a wrong result")
        done += 1
    return done / (time.perf_counter() - begun)


def ideal(seconds, loops):
    """Tasks per second without Celery."""
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        spin(loops)
        done += 1
    return {"per_s": done / (time.perf_counter() - begun)}


def drive(seconds, loops):
    """All three measurements."""
    flood(0.5, 0)
    lone = [timed(lambda: spin.delay(0).get(timeout=PATIENCE_SECONDS)) for _ in range(LONE_TASKS)]
    return {
        "noop_per_s": flood(seconds, 0),
        "cpu_per_s": flood(seconds, loops),
        "lone_us": statistics.median(lone) * 1e6,
    }


if __name__ == "__main__":
    what, *numbers = sys.argv[1:]
    if what == "calibrate":
        print(loops_of_a_millisecond())
    else:
        print(json.dumps({"drive": drive, "ideal": ideal}[what](float(numbers[0]), int(numbers[1]))))
