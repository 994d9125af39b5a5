"""What others send: messages, requests, shared values and the role of leader, in both forms."""

import asyncio
import queue
import threading
import unittest

from stead import _blocking, aio

from .daemon import Daemon

LIMIT = 20
NO_VALUE = {"error": {"code": "no_such_value", "message": "not set"}}


class Stage:
    """A daemon with one stream, on which a test sends; all else that is asked it collects."""

    def __init__(self, test):
        self._events = queue.Queue()
        self._asked = queue.Queue()
        self.streams = 0
        Daemon(test, self._answer)
        test.addCleanup(lambda: self._events.put(None))

    def _answer(self, question):
        if question.line == "GET /v1/messages":
            self.streams += 1
            question.open()
            for event in iter(self._events.get, None):
                question.event(*event)
            return
        if question.line.startswith("GET"):
            question.answer(500, NO_VALUE)
        elif question.line.startswith("PUT"):
            question.answer(200, {"version": 4}, {"ETag": '"4"'})
        else:
            question.answer(200, {"receivers": 1, "dropped": 0})
        if not question.line.startswith("GET"):
            self._asked.put((question.line, question.body))

    def send(self, words, data=None, name="message"):
        self._events.put((name, {"stead": words, "data": data}))

    def cut(self):
        self._events.put(None)

    def asked(self):
        """The next thing the program asked."""
        return self._asked.get(timeout=LIMIT)


class Blocking(unittest.TestCase):
    def test_listeners_and_handlers_are_called_also_by_the_next_daemon(self):
        stage = Stage(self)
        client = _blocking.Client()
        news = queue.Queue()
        client.on("news", lambda data, about: news.put((data, about.sender)))
        client.handle("double", lambda data, about: 2 * data)
        stage.send({"from": "shop.1", "topic": "news"}, 1)
        self.assertEqual(news.get(timeout=LIMIT), (1, "shop.1"))
        stage.cut()
        stage.send({"from": "shop.1", "topic": "double", "request": "a/b"}, 21)
        self.assertEqual(stage.asked(), ("POST /v1/replies/a%2Fb", {"data": 42}))
        self.assertEqual(stage.streams, 2)
        stage.send({"from": "shop.1", "topic": "double", "request": "c"})
        self.assertEqual(stage.asked()[1]["error"]["name"], "TypeError")
        stage.send({"from": "shop.1", "topic": "unknown", "request": "d"})
        self.assertEqual(stage.asked()[1]["error"]["code"], "no_receiver")

    def test_a_bad_listener_does_not_make_deaf(self):
        stage = Stage(self)
        client = _blocking.Client()
        news = queue.Queue()
        client.on("bad", lambda data, about: 1 / 0)
        client.on("*", lambda data, about: news.put(about.topic))
        with self.assertLogs("stead"):
            stage.send({"from": "outside", "topic": "bad"})
            stage.send({"from": "outside", "topic": "good"})
            self.assertEqual(news.get(timeout=LIMIT), "good")

    def test_a_value_comes_and_an_old_one_does_not(self):
        stage = Stage(self)
        client = _blocking.Client()
        users = client.shared("users")
        changes = queue.Queue()
        users.on_change(lambda value, version: changes.put((value, version)))
        stage.send({"shared": "users", "version": 3}, 7, "shared")
        stage.send({"shared": "users", "version": 2}, "old", "shared")
        self.assertEqual(changes.get(timeout=LIMIT), (7, 3))
        self.assertEqual((users.set(8), users.value), (4, 8))
        self.assertEqual(changes.get(timeout=LIMIT), (8, 4))
        self.assertIs(users, client.shared("users"))

    def test_the_role_is_released_when_the_task_has_ended(self):
        stage = Stage(self)
        client = _blocking.Client()
        begun, may_end = threading.Event(), threading.Event()

        def lead(role):
            begun.set()
            role.lost.wait(LIMIT)
            client.send("shop.1", "cleaning up")
            may_end.wait(LIMIT)

        leader = client.leader(lead)
        self.assertEqual(stage.asked(), ("POST /v1/candidates", {"candidate": True}))
        stage.send({"leader": True, "term": 3}, name="leader")
        self.assertTrue(begun.wait(LIMIT))
        self.assertEqual((leader.held, leader.term, leader.who), (True, 3, "shop.0"))
        stage.send({"leader": False, "term": 3, "who": None}, name="leader")
        self.assertEqual(stage.asked()[1]["topic"], "cleaning up")
        # The next daemon, which has not heard of it: it waits for the same end.
        stage.send({"leader": False, "term": 3, "who": None}, name="leader")
        may_end.set()
        for _ in range(2):
            self.assertEqual(stage.asked(), ("POST /v1/released", {"term": 3}))

    def test_the_leader_computes(self):
        stage = Stage(self)
        client = _blocking.Client()
        client.shared("users").compute(lambda: 7, every=60)
        stage.asked()
        stage.send({"leader": True, "term": 1}, name="leader")
        self.assertEqual(stage.asked(), ("PUT /v1/apps/shop/shared/users", 7))


class Asyncio(unittest.TestCase):
    def run_with_stage(self, story):
        stage = Stage(self)

        async def run():
            before, aio._client = aio._client, aio._Client()
            try:
                await asyncio.wait_for(story(stage), LIMIT)
            finally:
                aio._client = before

        asyncio.run(run())

    def test_listeners_and_handlers_may_be_coroutines(self):
        async def story(stage):
            news = asyncio.Queue()

            @aio.on("news")
            async def listen(data, about):
                await news.put((data, about.sender))

            @aio.handle("double")
            async def double(data, about):
                return 2 * data

            stage.send({"from": "shop.1", "topic": "news"}, 1)
            self.assertEqual(await news.get(), (1, "shop.1"))
            stage.cut()
            stage.send({"from": "shop.1", "topic": "double", "request": "a"}, 21)
            self.assertEqual(
                await asyncio.to_thread(stage.asked), ("POST /v1/replies/a", {"data": 42})
            )

        self.run_with_stage(story)

    def test_the_task_of_the_leader_is_cancelled_before_the_role_is_released(self):
        async def story(stage):
            ended = []

            async def lead(term):
                try:
                    await asyncio.sleep(LIMIT)
                finally:
                    await aio.send("shop.1", "cleaning up")
                    ended.append(term)

            leader = await aio.leader(lead)
            await asyncio.to_thread(stage.asked)
            stage.send({"leader": True, "term": 3}, name="leader")
            while not leader.held:
                await asyncio.sleep(0)
            stage.send({"leader": False, "term": 3, "who": None}, name="leader")
            stage.send({"leader": False, "term": 3, "who": None}, name="leader")
            self.assertEqual((await asyncio.to_thread(stage.asked))[1]["topic"], "cleaning up")
            self.assertEqual(
                await asyncio.to_thread(stage.asked), ("POST /v1/released", {"term": 3})
            )
            self.assertEqual(ended, [3])

        self.run_with_stage(story)

    def test_the_leader_computes_and_all_receive(self):
        async def story(stage):
            users = await aio.shared("users")
            await users.compute(lambda: 7, every=60)
            await asyncio.to_thread(stage.asked)
            stage.send({"leader": True, "term": 1}, name="leader")
            self.assertEqual(
                await asyncio.to_thread(stage.asked), ("PUT /v1/apps/shop/shared/users", 7)
            )
            changed = asyncio.Event()
            users.on_change(lambda value, version: changed.set())
            stage.send({"shared": "users", "version": 9}, 8, "shared")
            await changed.wait()
            while users.version < 9:
                await asyncio.sleep(0)
            self.assertEqual(users.value, 8)

        self.run_with_stage(story)


if __name__ == "__main__":
    unittest.main()
