"""The asyncio form: `from stead import aio as stead`.

The same functions, to be awaited; listeners, handlers and tasks may be coroutine functions.
Messages are given to them in their order; a coroutine does not hold up the next message.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
import threading
import time
from collections.abc import Awaitable
from typing import Any, Callable, Optional

from . import _calls as calls
from ._blocking import protocol_output
from ._calls import Address, Call, Delivery, Exchange
from ._inbox import (
    About,
    Acquired,
    Action,
    Answer,
    Deliver,
    Inbox,
    Leader,
    Lost,
    Value,
    no_handler,
)
from ._worker import Job, WorkerCore
from .errors import SteadError, told

__all__ = [
    "About",
    "Delivery",
    "Job",
    "SteadError",
    "broadcast",
    "handle",
    "leader",
    "off",
    "on",
    "pool",
    "request",
    "send",
    "shared",
    "worker",
]

log = logging.getLogger("stead")


async def perform(call: Call) -> Any:
    """Asks and waits for the answer."""
    path = calls.socket_path()
    conversation = calls.converse(call)
    try:
        step = next(conversation)
        while True:
            try:
                if isinstance(step, Exchange):
                    await _exchange(path, step)
                else:
                    await asyncio.sleep(step.seconds)
            except OSError as error:
                step = conversation.throw(error)
            else:
                step = conversation.send(None)
    except StopIteration as end:
        return end.value


async def _exchange(path: str, exchange: Exchange) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(exchange.request)
        while not exchange.answer.done:
            exchange.answer.feed(await reader.read(64 * 1024))
    finally:
        writer.close()


class Shared(Value):
    """A value that all workers of the app share."""

    async def get(self) -> Any:
        """Asks for the value of this moment."""
        version, value = await perform(calls.get_value(self.name))
        _client.take(self._receive(version, value))
        return self.value

    async def set(self, value: Any, if_version: Optional[int] = None) -> int:
        """Sets it for all; returns the new version. `conflict` if it is not `if_version` now."""
        version = await perform(calls.set_value(self.name, value, if_version))
        _client.take(self._receive(version, value))
        return int(version)

    async def unset(self) -> None:
        """Takes the value away."""
        await perform(calls.unset_value(self.name))

    async def compute(self, function: Callable[[], Any], every: float) -> Shared:
        """Has the leader compute it every so many seconds, for all. Each worker calls this."""

        async def lead(_term: int) -> None:
            pause = self._rest_of_period(every)
            while True:
                await asyncio.sleep(pause)
                began = time.monotonic()
                try:
                    await self.set(await _result(function()))
                except Exception:
                    # The last value stays: an old one is better than none.
                    log.exception("failed to compute the shared value `%s`", self.name)
                pause = max(0.0, began + every - time.monotonic())

        await leader(lead)
        return self


class AsyncLeader(Leader):
    async def resign(self) -> None:
        """Gives the role up, and is no candidate any more until `leader()` is called again."""
        await _client.resign()


class Pool:
    """A pool of workers."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def run(
        self,
        input: Any,
        *,
        key: Optional[str] = None,
        priority: Optional[int] = None,
        timeout: Optional[float] = None,
        retries: Optional[int] = None,
        durable: Optional[bool] = None,
        on_progress: calls.Told = None,
        on_part: calls.Told = None,
    ) -> Any:
        """Has one task done and returns its result. `timeout` is for one try, in seconds.

        Cancelling this cancels the task.
        """
        terms = calls.terms(key, priority, timeout, retries, durable)
        try:
            return await perform(calls.task(self.name, input, terms, on_progress, on_part))
        except asyncio.CancelledError:
            _client.spawn(perform(calls.cancel(self.name, terms["id"])))
            raise


class _Client:
    """Everything of one process, in the event loop in which it is first used."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.is_candidate = False
        self._stream: Optional[asyncio.Task[Any]] = None
        self._is_open = False
        self._leads: list[Callable[[int], Awaitable[Any]]] = []
        self._running: list[asyncio.Task[Any]] = []
        self._ending: list[asyncio.Task[Any]] = []
        # The event loop itself keeps only weak references.
        self._spawned: set[asyncio.Task[Any]] = set()

    def listen(self) -> None:
        if self._stream is None:
            calls.socket_path()
            self._stream = asyncio.get_running_loop().create_task(
                perform(calls.listen(self._event, self._opened))
            )

    def _event(self, _name: str, message: dict[str, Any]) -> None:
        self.take(self.inbox.receive(message))

    def _opened(self) -> None:
        self._is_open = True
        if self.is_candidate:
            self.spawn(perform(calls.candidate(True)))

    async def lead(self, task: Optional[Callable[[int], Awaitable[Any]]]) -> AsyncLeader:
        if self.inbox.leader is None:
            self.inbox.leader = AsyncLeader()
        leader = self.inbox.leader
        if task:
            self._leads.append(task)
            if leader.held:
                self._run(task, leader.term)
        is_new, self.is_candidate = not self.is_candidate, True
        self.listen()
        # Before the stream is open nobody could be told; when it opens, the candidate is named.
        if is_new and self._is_open:
            await perform(calls.candidate(True))
        return leader  # type: ignore[return-value]

    async def resign(self) -> None:
        self.is_candidate, self._leads = False, []
        await perform(calls.candidate(False))

    def take(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Deliver):
                for listener in action.listeners:
                    self._call(listener, action.arguments)
            elif isinstance(action, Answer):
                self.spawn(self._answer(action))
            elif isinstance(action, Acquired):
                for task in self._leads:
                    self._run(task, action.term)
            elif isinstance(action, Lost):
                self.spawn(self._release(action.term))

    def spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    def _call(self, listener: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            result = listener(*arguments)
        except Exception:
            # One bad listener must not make the program deaf.
            log.exception("failed to take a message")
        else:
            if inspect.iscoroutine(result):
                self.spawn(result)

    async def _answer(self, question: Answer) -> None:
        if question.handler is None:
            answer = calls.reply(question.token, error=no_handler(question.about))
        else:
            try:
                answer = calls.reply(
                    question.token, await _result(question.handler(question.data, question.about))
                )
            except Exception as error:
                answer = calls.reply(question.token, error=told(error))
        await perform(answer)

    def _run(self, task: Callable[[int], Awaitable[Any]], term: int) -> None:
        self._running.append(asyncio.get_running_loop().create_task(_coroutine(task(term))))

    async def _release(self, term: int) -> None:
        running, self._running = self._running, []
        for task in running:
            task.cancel()
        # Those that were cancelled before may still be at it.
        self._ending = [task for task in [*self._ending, *running] if not task.done()]
        await asyncio.gather(*self._ending, return_exceptions=True)
        await perform(calls.released(term))


async def _coroutine(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return await _result(function(*arguments))


async def _result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


_client = _Client()


async def send(to: Address, topic: str, data: Any = None) -> Delivery:
    """Sends to some workers. Those who do not read fast enough do not get it."""
    sent: Delivery = await perform(calls.send(to, topic, data))
    return sent


async def broadcast(topic: str, data: Any = None, *, include_self: bool = False) -> Delivery:
    """Sends to every other worker of this app."""
    sent: Delivery = await perform(calls.send("app", topic, data, include_self))
    return sent


async def request(
    to: Address, topic: str, data: Any = None, *, timeout: Optional[float] = None
) -> Any:
    """Asks one worker and returns its answer; `timeout` in seconds, 30 without it."""
    return await perform(calls.request(to, topic, data, timeout))


def on(topic: str, listener: Optional[Callable[..., Any]] = None) -> Any:
    """Calls `listener(data, about)` for messages about a topic (`*`: all); also a decorator."""
    if listener is None:
        return lambda function: on(topic, function)
    _client.inbox.on(topic, listener)
    _client.listen()
    return listener


def off(topic: str, listener: Callable[..., Any]) -> None:
    _client.inbox.off(topic, listener)


def handle(topic: str, handler: Optional[Callable[..., Any]] = None) -> Any:
    """Answers requests about a topic with what `handler(data, about)` returns; a decorator."""
    if handler is None:
        return lambda function: handle(topic, function)
    _client.inbox.handle(topic, handler)
    _client.listen()
    return handler


async def shared(name: str) -> Shared:
    """The shared value of this name, always the same object."""
    value = _client.inbox.values.get(name)
    if value is None:
        value = _client.inbox.values[name] = Shared(name)
        _client.listen()
        # What was sent before this process listened is gone.
        await value.get()
    return value  # type: ignore[return-value]


async def leader(task: Optional[Callable[[int], Awaitable[Any]]] = None) -> AsyncLeader:
    """Makes this worker a candidate; `task(term)` runs while it leads, then is cancelled."""
    return await _client.lead(task)


def pool(name: str) -> Pool:
    return Pool(name)


async def worker(task: Callable[[Any, Job], Any], *, concurrency: int = 1) -> None:
    """Makes this process a worker of a pool: awaits `task(input, job)` as long as tasks come.

    A task that nobody wants any more is cancelled. Standard output belongs to the protocol: what
    the program prints goes to standard error.
    """
    output = protocol_output()
    loop = asyncio.get_running_loop()
    over = asyncio.Event()

    def write(text: bytes) -> None:
        output.write(text)
        output.flush()

    def start(job: Job, data: Any) -> None:
        running = loop.create_task(_call(task, data, job))
        tasks.add(running)
        running.add_done_callback(lambda _: finish(job, running))
        job._on_cancel = running.cancel  # type: ignore[assignment]

    def finish(job: Job, ended: asyncio.Task[Any]) -> None:
        tasks.discard(ended)
        if ended.cancelled():
            core.failed(job, SteadError("cancelled", "the task was cancelled"))
        elif ended.exception():
            core.failed(job, ended.exception())  # type: ignore[arg-type]
        else:
            core.done(job, ended.result())

    def read() -> None:
        for text in sys.stdin.buffer:
            loop.call_soon_threadsafe(core.receive, text)
        loop.call_soon_threadsafe(core.end, over.set)

    tasks: set[asyncio.Task[Any]] = set()
    core = WorkerCore(concurrency, start, write)
    core.begin()
    # A thread, because an event loop cannot wait for a file, which standard input may be.
    threading.Thread(target=read, name="stead", daemon=True).start()
    await over.wait()
