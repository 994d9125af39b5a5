"""Tests of the pure parts. `cd bench && python3 -B -m unittest kit.tests`"""

import unittest

from . import document, load, parts, report, results
from .cli import needed_parts
from .contenders import HaProxy, Nginx, command, pools, stead_pools
from .scenarios import SCENARIOS, cpu, messages
from .scenarios import pools as pools_scenario
from .scenarios.base import STEAD
from .tools import Tools

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
"p50_ms": 1.0, "p90_ms": 1.0, "p99_ms": 2.0, "p999_ms": 2.0, "max_ms": 3.0, "max_gap_ms": 4.0, "connects": 9, "never_sent": 0}"""
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


    def test_figures_are_the_last_line_of_a_program(self):
        self.assertEqual(command.read_figures('a word\n{"per_s": 2.5}\n'), {"per_s": 2.5})
        for text in ("", "no figures", '{"error": "a wrong result"}'):
            self.assertRaises(load.Failure, command.read_figures, text)


class Parts(unittest.TestCase):
    """What is built or installed, and what is not."""

    def test_only_what_the_chosen_contenders_need(self):
        chosen = [scenario for scenario in SCENARIOS if scenario.letter in "apq"]
        self.assertEqual(needed_parts(chosen, ["celery"]), [pools.CELERY])
        self.assertEqual(needed_parts(chosen, ["nginx"]), [])

    def test_a_package_that_cannot_be_had_is_a_reason_and_no_failure(self):
        class Missing:
            def get(self):
                raise parts.NotInstalled("`pip install x` failed")

        part = Missing()
        tools = Tools(None, None, *parts.gather([part]))
        with self.assertRaisesRegex(load.Failure, "pip install x"):
            tools.path(part)


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


    def test_a_pool_is_judged_by_the_peer_that_the_goal_names(self):
        figures = {
            pools.ForkPool.label: {"noop_per_s": 100, "lone_us": 40},
            pools.WorkerPool.label: {"noop_per_s": 30},
            pools.BullMqDurable.label: {"noop_per_s": 3},
            stead_pools.SteadMap.label: {"noop_per_s": 50, "share": 0.96},
            stead_pools.SteadMapEnvelope.label: {"noop_per_s": 110},
            stead_pools.SteadPool.label: {"lone_us": 101, "share": 0.9},
            stead_pools.SteadPoolDurable.label: {"noop_per_s": 15},
        }
        met = [goal.met for goal in pools_scenario.goals({"": figures})]
        self.assertEqual(met, [True, True, False, True, False, True])

    def test_messages_are_ahead_only_if_all_four_are(self):
        load_name = f"100 B, {messages.ONE_CORE}"
        theirs = dict.fromkeys(messages.MODES, 10)
        for how in messages.SERIALIZATIONS:
            for worst, met in ((12, True), (11, False)):
                mine = dict.fromkeys(messages.MODES, 20) | {"broadcast_per_s": worst}
                figures = {load_name: {messages.NODE[how].label: theirs, messages.TO_NODE[how].label: mine}}
                self.assertIn(met, [goal.met for goal in messages.goals(figures)])


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
