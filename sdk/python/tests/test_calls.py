"""What is asked of the daemon, in both forms, and what becomes of its answers."""

import asyncio
import threading
import unittest

import stead
from stead import aio

from .daemon import Daemon

LIMIT = 20


class Calls(unittest.TestCase):
    def both(self, blocking, asynchronous):
        """The result of each form."""
        for ask in (blocking, lambda: asyncio.run(asyncio.wait_for(asynchronous(), LIMIT))):
            try:
                yield ask()
            except stead.SteadError as error:
                yield error

    def test_a_message_is_sent(self):
        daemon = Daemon(
            self, lambda question: question.answer(200, {"receivers": 3, "dropped": 1})
        )
        for result in self.both(
            lambda: stead.broadcast("news", {"a": 1}), lambda: aio.broadcast("news", {"a": 1})
        ):
            self.assertEqual(result, stead.Delivery(receivers=3, dropped=1))
        for question in daemon.questions:
            self.assertEqual(question.body, {"to": "app", "topic": "news", "data": {"a": 1}})
            self.assertEqual(question.headers["Stead-Worker"], "shop.0")

    def test_a_request_gives_the_answer(self):
        daemon = Daemon(self, lambda question: question.answer(200, {"from": "shop.1", "data": 3}))
        ask = ("any", "price", "apple")
        for result in self.both(
            lambda: stead.request(*ask, timeout=0.5), lambda: aio.request(*ask, timeout=0.5)
        ):
            self.assertEqual(result, 3)
        self.assertEqual(daemon.questions[0].body["timeout"], 500)

    def test_a_refusal_is_an_error_with_a_code(self):
        error = {"error": {"code": "timeout", "message": "no answer in time"}}
        Daemon(self, lambda question: question.answer(504, error))
        for result in self.both(
            lambda: stead.request("any", "a"), lambda: aio.request("any", "a")
        ):
            self.assertEqual((result.code, str(result)), ("timeout", "no answer in time"))

    def test_what_may_not_be_repeated_is_not(self):
        daemon = Daemon(self, lambda question: None)
        for result in self.both(
            lambda: stead.request("any", "a"), lambda: aio.request("any", "a")
        ):
            self.assertEqual(result.code, "interrupted")
        self.assertEqual(len(daemon.questions), 2)

    def test_a_task_is_the_same_task_however_often_it_is_sent(self):
        answers = iter(
            [None, (202, {"id": "x", "state": "running"}), (200, {"state": "done", "result": 5})]
            * 2
        )

        def answer(question):
            status = next(answers)
            if status:
                question.answer(*status)

        daemon = Daemon(self, answer)
        terms = {"key": "a b", "timeout": 0.5, "durable": True}
        for result in self.both(
            lambda: stead.pool("p").run(1, **terms), lambda: aio.pool("p").run(1, **terms)
        ):
            self.assertEqual(result, 5)
        lines = daemon.lines()
        self.assertEqual((len(lines), len(set(lines[:3])), len(set(lines[3:]))), (6, 1, 1))
        self.assertIn("&key=a+b&timeout=500&durable=true", lines[0])

    def test_a_task_that_failed_is_an_error_with_its_cause(self):
        error = {"code": "failed", "message": "no", "name": "TypeError"}
        Daemon(self, lambda question: question.answer(422, {"state": "failed", "error": error}))
        for result in self.both(lambda: stead.pool("p").run(1), lambda: aio.pool("p").run(1)):
            self.assertEqual((result.code, result.cause["name"]), ("failed", "TypeError"))

    def test_progress_and_parts_are_told_also_by_the_next_daemon(self):
        turn = iter([False, True] * 2)

        def answer(question):
            question.open()
            if not next(turn):
                question.event("progress", 0.5)
                question.event("part", "one")
                return question._handler.connection.shutdown(2)
            question.event("part", "two")
            question.event("done", {"state": "done", "result": "all"})
            question.end()

        Daemon(self, answer)
        told = []
        listen = {"on_progress": told.append, "on_part": told.append}
        for result in self.both(
            lambda: stead.pool("p").run(1, **listen), lambda: aio.pool("p").run(1, **listen)
        ):
            self.assertEqual(result, "all")
        self.assertEqual(told, [0.5, "one", "two"] * 2)

    def test_a_cancelled_coroutine_cancels_its_task(self):
        begun, cancelled = threading.Event(), threading.Event()

        def answer(question):
            if question.line.startswith("DELETE /v1/pools/p/tasks/"):
                question.answer(200, {})
                cancelled.set()
            else:
                begun.set()
                cancelled.wait(LIMIT)

        Daemon(self, answer)

        async def cancel():
            task = asyncio.ensure_future(aio.pool("p").run(1))
            await asyncio.to_thread(begun.wait, LIMIT)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertTrue(await asyncio.to_thread(cancelled.wait, LIMIT))

        asyncio.run(cancel())

    def test_outside_of_stead_it_says_so(self):
        for result in self.both(lambda: stead.broadcast("a"), lambda: aio.broadcast("a")):
            self.assertEqual(result.code, "outside")
        with self.assertRaises(stead.SteadError):
            stead.on("news", print)
        self.assertFalse(stead.inside)


if __name__ == "__main__":
    unittest.main()
