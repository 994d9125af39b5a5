"""Tests of the pure parts. `cd bench && python3 -B -m unittest kit.tests`"""

import unittest

from . import document, load, report, results
from .contenders import HaProxy, Nginx
from .scenarios import SCENARIOS, cpu
from .scenarios.base import STEAD

AB = """
Complete requests:      12
Failed requests:        3
   (Connect: 0, Receive: 1, Length: 2, Exceptions: 1)
Non-2xx responses:      1
Requests per second:    240.50 [#/sec] (mean)

Percentage of the requests served within a certain time (ms)
  50%     81
  99%    120
 100%    130 (longest request)
"""
WRK = """
  Latency Distribution
     50%  612.00us
     99%    2.06ms
  194106 requests in 2.00s, 24.06MB read
  Socket errors: connect 0, read 3, write 0, timeout 1
  Non-2xx or 3xx responses: 2
Requests/sec:  96979.20
"""
LOAD = """{"seconds": 1.0, "total": 9, "ok": 7, "failed": 2, "per_second": 7.0, "classes": {"ok": 7, "http_502": 2},
"p50_ms": 1.0, "p90_ms": 1.0, "p99_ms": 2.0, "p999_ms": 2.0, "max_ms": 3.0, "max_gap_ms": 4.0, "connects": 9}"""
RUN = {
    "time": "2026-01-02T03:04:05",
    "command": "bench/run --write",
    "machine": {"cpu": "C", "cores_available": 2, "memory_gib": 4.0, "system": "S", "kernel": "K"},
    "versions": {"Stead": "1"},
    "workers": 2,
    "reps": 3,
    "seconds": 10.0,
}


def row(label, rep=1, disturbed=False, foreign=0.0, **metrics):
    """A row of scenario (a)."""
    return {
        "scenario": "a",
        "load": "",
        "label": label,
        "rep": rep,
        "disturbed": disturbed,
        "foreign": foreign,
        "metrics": metrics,
    }


class Reports(unittest.TestCase):
    """What the load generators print."""

    def test_ab_counts_a_lost_request_once(self):
        metrics = load.parse_ab(AB)
        self.assertEqual((metrics["requests"], metrics["failed"], metrics["p99_ms"]), (12, 2, 120))

    def test_wrk_units_become_milliseconds(self):
        metrics = load.parse_wrk(WRK)
        self.assertEqual((metrics["p50_ms"], metrics["p99_ms"], metrics["failed"]), (0.612, 2.06, 6))

    def test_classes_of_stead_load_are_metrics(self):
        metrics = load.parse_load(LOAD)
        self.assertEqual((metrics["requests"], metrics["class:http_502"]), (9, 2))
        self.assertNotIn("class:ok", metrics)

    def test_no_report_is_a_failure(self):
        for parse in (load.parse_ab, load.parse_wrk):
            self.assertRaises(load.Failure, parse, "apr_pollset_poll: The timeout specified has expired")


class Figures(unittest.TestCase):
    """Which rows count, and what becomes of them."""

    def test_an_undisturbed_row_counts_before_any_other(self):
        rows = [row("x", disturbed=True, foreign=0.5, p99_ms=9), row("x", p99_ms=1)]
        self.assertEqual([one["metrics"]["p99_ms"] for one in results.counted(rows)], [1])

    def test_of_disturbed_rows_the_least_disturbed_counts(self):
        rows = [row("x", disturbed=True, foreign=f, p99_ms=f) for f in (0.9, 0.2, 0.5)]
        self.assertEqual(results.counted(rows), [rows[1]])

    def test_an_error_counts_only_if_there_is_no_other(self):
        broken = row("x") | {"error": "no answer"}
        self.assertEqual(results.counted([broken]), [broken])
        disturbed = row("x", disturbed=True, foreign=1.0)
        self.assertEqual(results.counted([broken, disturbed]), [disturbed])

    def test_latencies_are_medians_losses_sums_and_the_longest_the_worst(self):
        rows = [
            row("x", rep=rep, p99_ms=rep, failed=rep, max_ms=rep * 10, requests=100) for rep in (1, 2, 9)
        ]
        figures = results.combine(rows, cpu.SCENARIO.columns)[""]["x"]
        self.assertEqual(figures, {"p99_ms": 2, "failed": 12, "max_ms": 90, "requests": 300})

    def test_a_loss_in_a_row_that_does_not_count_is_told(self):
        rows = [row(STEAD, disturbed=True, failed=7), row(STEAD, failed=0)]
        text = report.section(cpu.SCENARIO, RUN, rows)
        self.assertIn("not counted: Stead 7.", text)
        self.assertIn("| **Stead** \\* |", text)


class Goals(unittest.TestCase):
    """Judged where there are figures, open where there are none."""

    def test_every_scenario_states_goals_before_it_was_measured(self):
        for scenario in SCENARIOS:
            goals = scenario.goals({})
            self.assertTrue(goals)
            self.assertEqual({goal.met for goal in goals}, {None}, scenario.letter)

    def test_the_best_peer_is_the_limit(self):
        figures = {
            STEAD: {"per_second": 200, "unfairness": 1.6, "p99_ms": 10},
            Nginx.label: {"per_second": 200},
            HaProxy.label: {"per_second": 100, "p99_ms": 10},
        }
        self.assertEqual([goal.met for goal in cpu.goals({"": figures})], [True, False, True])


class Document(unittest.TestCase):
    """BENCHMARKS.md is changed between the markers only."""

    def test_a_run_replaces_its_scenarios_and_nothing_else(self):
        text = document.new(SCENARIOS).replace("# Benchmarks", "# Measured")
        written = document.with_run(text, SCENARIOS, RUN, [row(STEAD, per_second=5)])
        self.assertIn("| **Stead** | 5 |", document.block(written, "a"))
        self.assertEqual(document.block(written, "b"), document.block(text, "b"))
        self.assertTrue(written.startswith("# Measured"))
        self.assertIn("- **2026-01-02T03:04:05**: C, 2 cores", document.block(written, document.RUNS))

    def test_a_run_that_is_not_shown_any_more_is_forgotten(self):
        text = document.with_run(document.new(SCENARIOS), SCENARIOS, RUN, [row(STEAD, per_second=5)])
        later = RUN | {"time": "2026-02-02T03:04:05"}
        b_row = row(STEAD, per_second=5) | {"scenario": "b", "load": "keep-alive"}
        both = document.with_run(text, SCENARIOS, later, [b_row])
        self.assertEqual(document.block(both, document.RUNS).count("- **"), 2)
        one = document.with_run(both, SCENARIOS, later, [row(STEAD, per_second=6)])
        self.assertNotIn(RUN["time"], one)

    def test_missing_markers_are_told(self):
        self.assertRaises(document.Unmarked, document.replaced, "# Benchmarks", "a", "x")


if __name__ == "__main__":
    unittest.main()
