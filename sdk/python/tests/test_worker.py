"""A worker of a pool, as a process with lines on its standard input and output."""

import json
import subprocess
import sys
import unittest

BLOCKING = """
import stead
{task}
stead.worker(task, concurrency={concurrency})
print("over")
"""
ASYNCIO = """
import asyncio
from stead import aio as stead
async {task}
asyncio.run(stead.worker(task, concurrency={concurrency}))
print("over")
"""
BOTH = (BLOCKING, ASYNCIO)


def run(program, task, lines, concurrency=1):
    """What a worker says to these lines, and what it printed."""
    source = program.format(task=task, concurrency=concurrency)
    worker = subprocess.run(
        [sys.executable, "-c", source], input=lines, capture_output=True, text=True, timeout=20
    )
    assert worker.returncode == 0, worker.stderr
    return [json.loads(line) for line in worker.stdout.splitlines()], worker.stderr


def line(token, data, **words):
    return json.dumps({"stead": {"run": token, **words}, "data": data}) + "\n"


class Worker(unittest.TestCase):
    def test_tasks_are_done_and_failures_told(self):
        task = (
            "def task(input, job):\n"
            "    print('working')\n"
            "    job.progress(0.5)\n"
            "    job.part('one')\n"
            "    if input is None: raise ValueError('no input')\n"
            "    return [input, job.attempt, job.key, job.timeout]\n"
        )
        for program in BOTH:
            lines = "plain\n7\n" + line("a", 1, attempt=2, key="k", timeout=500) + line("b", None)
            said, printed = run(program, task, lines)
            told = [
                {"stead": {"progress": "a"}, "data": 0.5},
                {"stead": {"part": "a"}, "data": "one"},
            ]
            done = {"stead": {"done": "a"}, "data": [1, 2, "k", 0.5]}
            self.assertEqual(
                said[:4], [{"stead": {"worker": True, "concurrency": 1}}, *told, done]
            )
            self.assertEqual(said[-1]["stead"]["failed"], "b")
            error = said[-1]["stead"]["error"]
            self.assertIn("in task\nValueError: no input", error.pop("stack"))
            self.assertEqual(error, {"message": "no input", "name": "ValueError"})
            self.assertEqual(printed, "working\nworking\nover\n")

    def test_all_that_came_is_done_before_the_end(self):
        for program in BOTH:
            for concurrency in (1, 3):
                lines = "".join(line(str(number), number) for number in range(50))
                said, _ = run(program, "def task(input, job): return -input", lines, concurrency)
                results = {answer["stead"]["done"]: answer["data"] for answer in said[1:]}
                self.assertEqual(results, {str(number): -number for number in range(50)})

    def test_a_result_that_is_no_json_is_a_failure(self):
        for program in BOTH:
            for result in ("{1, 2}", "float('nan')"):
                said, _ = run(program, f"def task(input, job): return {result}", line("a", 1))
                self.assertEqual(said[1]["stead"]["error"]["code"], "bad_message")

    def test_a_running_task_is_cancelled(self):
        blocking = "def task(input, job):\n    while not job.cancelled: pass\n    raise KeyError\n"
        sleeping = "def task(input, job):\n    await asyncio.sleep(60)\n"
        abort = json.dumps({"stead": {"abort": "a"}}) + "\n"
        for program, task in ((BLOCKING, blocking), (ASYNCIO, sleeping)):
            said, _ = run(program, task, line("a", 1) + abort)
            self.assertEqual(said[1]["stead"]["failed"], "a")

    def test_a_waiting_task_is_dropped(self):
        task = "def task(input, job):\n    while not job.cancelled: pass\n"
        aborts = "".join(json.dumps({"stead": {"abort": token}}) + "\n" for token in "ba")
        said, _ = run(BLOCKING, task, line("a", 1) + line("b", 2) + aborts)
        self.assertEqual(said[1]["stead"]["error"]["code"], "cancelled")
        self.assertEqual(said[2], {"stead": {"done": "a"}})


if __name__ == "__main__":
    unittest.main()
