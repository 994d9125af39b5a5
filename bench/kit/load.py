"""The load generators, and their reports as plain metrics.

`ab` and `wrk` because everybody has them; `stead-load` where each single request has to be accounted for: it never sends
one twice, and each ends in exactly one class.
"""

import json
import re

from .processes import Failure

# Beyond the seconds of the load itself: a generator that hangs is a failed row, not a hung benchmark.
PATIENCE_SECONDS = 45.0
# For ab and wrk, which cannot tell a late answer from a lost one.
ANSWER_TIMEOUT_SECONDS = 30
# For stead-load: what takes longer is lost. Longer than any contender makes a request wait for its turn.
LOST_AFTER_SECONDS = 15
UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


def ab(processes, port, connections, seconds):
    """ApacheBench: HTTP/1.0, a connection per request."""
    # -n after -t, which sets it to 50000; -r goes on after an error; latencies in whole milliseconds.
    command = ["ab", "-q", "-r", "-c", connections, "-t", max(1, round(seconds)), "-n", 100_000_000]
    command += ["-s", ANSWER_TIMEOUT_SECONDS, f"http://127.0.0.1:{port}/"]
    return parse_ab(processes.run(command, seconds + PATIENCE_SECONDS))


def parse_ab(text):
    """The metrics in ab's report. It counts one lost request in several classes: the largest is the best that is known."""
    requests = _number(text, r"Complete requests:\s+(\d+)")
    if requests is None:
        raise Failure(f"ab gave no report: {text[-300:]}")
    classes = re.search(r"\(Connect: (\d+), Receive: (\d+), Length: (\d+), Exceptions: (\d+)\)", text)
    failed = max(map(int, classes.groups())) if classes else 0
    metrics = {
        "requests": int(requests),
        "failed": max(failed, int(_number(text, r"Non-2xx responses:\s+(\d+)") or 0)),
        "per_second": _number(text, r"Requests per second:\s+([\d.]+)"),
        "p50_ms": _number(text, r"\n\s+50%\s+(\d+)"),
        "p99_ms": _number(text, r"\n\s+99%\s+(\d+)"),
        "max_ms": _number(text, r"\n\s+100%\s+(\d+)"),
    }
    return {name: value for name, value in metrics.items() if value is not None}


def wrk(processes, port, connections, seconds, cores=None):
    """wrk: HTTP/1.1, kept connections, a closed loop on one thread."""
    command = ["wrk", "--latency", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    command += ["--timeout", f"{ANSWER_TIMEOUT_SECONDS}s", f"http://127.0.0.1:{port}/"]
    return parse_wrk(processes.run(command, seconds + PATIENCE_SECONDS, cores=cores))


def parse_wrk(text):
    """The metrics in wrk's report."""
    requests = _number(text, r"(\d+) requests in")
    if not requests:
        raise Failure(f"wrk got no answer: {text[-300:]}")
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    broken = sum(map(int, errors.groups())) if errors else 0
    return {
        "requests": int(requests),
        "failed": broken + int(_number(text, r"Non-2xx or 3xx responses: (\d+)") or 0),
        "per_second": _number(text, r"Requests/sec:\s+([\d.]+)"),
        "p50_ms": _milliseconds(text, r"\n\s+50%\s+([\d.]+)(us|ms|s|m)\b"),
        "p99_ms": _milliseconds(text, r"\n\s+99%\s+([\d.]+)(us|ms|s|m)\b"),
    }


class Load:
    """stead-load, to be started and waited for. With a rate, requests are due by the clock, whether the server keeps up or not, and
    latencies count from then on."""

    def __init__(self, processes, program, port, connections, seconds, keep_alive, cores=None, rate=None):
        command = [program, "--port", port, "--connections", connections, "--duration", seconds]
        command += ["--expect", "ok", "--timeout-ms", LOST_AFTER_SECONDS * 1000, "--failures", 3]
        self._limit = seconds + LOST_AFTER_SECONDS + PATIENCE_SECONDS
        self._processes = processes
        self._child = processes.start(
            command + ["--keep-alive"] * keep_alive + (["--rate", rate] if rate else []), cores=cores, capture=True
        )

    def finish(self):
        """The metrics, when the load has ended."""
        return parse_load(self._processes.finish(self._child, self._limit))


def parse_load(text):
    """The metrics in stead-load's report; a class that occurred is a metric of its own, `class:<name>`."""
    report = json.loads(text)
    names = ("failed", "per_second", "p50_ms", "p99_ms", "p999_ms", "max_ms", "max_gap_ms", "connects", "never_sent")
    metrics = {"requests": report["total"]} | {name: report[name] for name in names}
    losses = {name: count for name, count in report["classes"].items() if name != "ok"}
    return metrics | {f"class:{name}": count for name, count in losses.items()}


def _number(text, pattern):
    found = re.search(pattern, text)
    return float(found[1]) if found else None


def _milliseconds(text, pattern):
    found = re.search(pattern, text)
    return round(float(found[1]) * UNITS_MS[found[2]], 4) if found else None
