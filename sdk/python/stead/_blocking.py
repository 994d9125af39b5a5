"""The blocking form: each call waits for its answer.

What others send is read, and given to listeners and handlers, by one thread in the background, one
message after the other; whoever is slow there slows only what comes.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import sys
import threading
import time
from typing import Any, Callable, Optional

from . import _calls as calls
from ._calls import Address, Call, Delivery, Exchange
from ._inbox import Acquired, Action, Answer, Deliver, Inbox, Leader, Lost, Value, no_handler
from ._worker import Job, WorkerCore
from .errors import told

log = logging.getLogger("stead")


def perform(call: Call) -> Any:
    """Asks and waits for the answer."""
    path = calls.socket_path()
    conversation = calls.converse(call)
    try:
        step = next(conversation)
        while True:
            try:
                if isinstance(step, Exchange):
                    _exchange(path, step)
                else:
                    time.sleep(step.seconds)
            except OSError as error:
                step = conversation.throw(error)
            else:
                step = conversation.send(None)
    except StopIteration as end:
        return end.value


def _exchange(path: str, exchange: Exchange) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        connection.sendall(exchange.request)
        while not exchange.answer.done:
            exchange.answer.feed(connection.recv(64 * 1024))


class Role:
    """What a task that runs while this worker leads is told."""

    def __init__(self, term: int) -> None:
        #: Rises with each leader: a fencing token.
        self.term = term
        #: Set when the role is lost; `lost.wait(5)` is a pause that ends early then.
        self.lost = threading.Event()


class BlockingShared(Value):
    """A value that all workers of the app share."""

    def __init__(self, name: str, client: Client) -> None:
        super().__init__(name)
        self._client = client

    def get(self) -> Any:
        """Asks for the value of this moment."""
        version, value = perform(calls.get_value(self.name))
        self._client._take(lambda: self._receive(version, value))
        return self.value

    def set(self, value: Any, if_version: Optional[int] = None) -> int:
        """Sets it for all; returns the new version. `conflict` if it is not `if_version` now."""
        version = perform(calls.set_value(self.name, value, if_version))
        self._client._take(lambda: self._receive(version, value))
        return int(version)

    def unset(self) -> None:
        """Takes the value away."""
        perform(calls.unset_value(self.name))

    def compute(self, function: Callable[[], Any], every: float) -> BlockingShared:
        """Has the leader compute it every so many seconds, for all. Each worker calls this."""

        def lead(role: Role) -> None:
            pause = self._rest_of_period(every)
            while not role.lost.wait(pause):
                began = time.monotonic()
                try:
                    self.set(function())
                except Exception:
                    # The last value stays: an old one is better than none.
                    log.exception("failed to compute the shared value `%s`", self.name)
                pause = max(0.0, began + every - time.monotonic())

        self._client.leader(lead)
        return self


class BlockingLeader(Leader):
    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client

    def resign(self) -> None:
        """Gives the role up, and is no candidate any more until `leader()` is called again."""
        self._client._resign()


class BlockingPool:
    """A pool of workers."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(
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
        """Has one task done and returns its result. `timeout` is for one try, in seconds."""
        terms = calls.terms(key, priority, timeout, retries, durable)
        return perform(calls.task(self.name, input, terms, on_progress, on_part))


class Client:
    """Everything of one process."""

    def __init__(self) -> None:
        self._inbox = Inbox()
        self._lock = threading.Lock()
        self._is_listening = False
        self._open = threading.Event()
        self._role: Optional[Role] = None
        self._tasks: list[Callable[[Role], Any]] = []
        self._threads: list[threading.Thread] = []
        self._is_candidate = False

    def send(self, to: Address, topic: str, data: Any = None) -> Delivery:
        """Sends to some workers. Those who do not read fast enough do not get it."""
        sent: Delivery = perform(calls.send(to, topic, data))
        return sent

    def broadcast(self, topic: str, data: Any = None, *, include_self: bool = False) -> Delivery:
        """Sends to every other worker of this app."""
        sent: Delivery = perform(calls.send("app", topic, data, include_self))
        return sent

    def request(
        self, to: Address, topic: str, data: Any = None, *, timeout: Optional[float] = None
    ) -> Any:
        """Asks one worker and returns its answer; `timeout` in seconds, 30 without it."""
        return perform(calls.request(to, topic, data, timeout))

    def on(self, topic: str, listener: Optional[Callable[..., Any]] = None) -> Any:
        """Calls `listener(data, about)` for messages on a topic (`*`: all); also a decorator."""
        if listener is None:
            return lambda function: self.on(topic, function)
        self._inbox.on(topic, listener)
        self._listen()
        return listener

    def off(self, topic: str, listener: Callable[..., Any]) -> None:
        self._inbox.off(topic, listener)

    def handle(self, topic: str, handler: Optional[Callable[..., Any]] = None) -> Any:
        """Answers requests about a topic with what `handler(data, about)` returns; a decorator."""
        if handler is None:
            return lambda function: self.handle(topic, function)
        self._inbox.handle(topic, handler)
        self._listen()
        return handler

    def shared(self, name: str) -> BlockingShared:
        """The shared value of this name, always the same object."""
        value = self._inbox.values.get(name)
        if value is None:
            value = self._inbox.values[name] = BlockingShared(name, self)
            self._listen()
            # What was sent before this process listened is gone.
            value.get()
        return value  # type: ignore[return-value]

    def leader(self, task: Optional[Callable[[Role], Any]] = None) -> BlockingLeader:
        """Makes this worker a candidate; `task(role)` runs in its own thread while it leads."""
        if self._inbox.leader is None:
            self._inbox.leader = BlockingLeader(self)
        with self._lock:
            if task:
                self._tasks.append(task)
                if self._role:
                    self._run(task, self._role)
            is_new = not self._is_candidate
            self._is_candidate = True
        self._listen()
        # Before the stream is open nobody could be told; when it opens, the candidate is named.
        if is_new and self._open.is_set():
            perform(calls.candidate(True))
        return self._inbox.leader  # type: ignore[return-value]

    def pool(self, name: str) -> BlockingPool:
        return BlockingPool(name)

    def wait(self) -> None:
        """Waits for ever, while listeners are called: for programs that do nothing else."""
        threading.Event().wait()

    def _listen(self) -> None:
        with self._lock:
            if self._is_listening:
                return
            calls.socket_path()
            self._is_listening = True
        threading.Thread(target=self._follow, name="stead", daemon=True).start()

    def _follow(self) -> None:
        perform(
            calls.listen(
                lambda _name, message: self._take(lambda: self._inbox.receive(message)),
                self._opened,
            )
        )

    def _opened(self) -> None:
        self._open.set()
        if self._is_candidate:
            threading.Thread(target=perform, args=(calls.candidate(True),), daemon=True).start()

    def _take(self, receive: Callable[[], list[Action]]) -> None:
        with self._lock:
            actions = receive()
        for action in actions:
            try:
                self._act(action)
            except Exception:
                # One bad listener must not make the program deaf.
                log.exception("failed to take a message")

    def _act(self, action: Action) -> None:
        if isinstance(action, Deliver):
            for listener in action.listeners:
                listener(*action.arguments)
        elif isinstance(action, Answer):
            perform(self._answer(action))
        elif isinstance(action, Acquired):
            with self._lock:
                self._role = Role(action.term)
                for task in self._tasks:
                    self._run(task, self._role)
        elif isinstance(action, Lost):
            self._release(action.term)

    def _answer(self, question: Answer) -> Call:
        if question.handler is None:
            return calls.reply(question.token, error=no_handler(question.about))
        try:
            return calls.reply(question.token, question.handler(question.data, question.about))
        except Exception as error:
            return calls.reply(question.token, error=told(error))

    def _run(self, task: Callable[[Role], Any], role: Role) -> None:
        thread = threading.Thread(target=task, args=(role,), name="stead leader", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _release(self, term: int) -> None:
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            threads, role, self._role = self._threads, self._role, None
        if role:
            role.lost.set()

        def release() -> None:
            for thread in threads:
                thread.join()
            perform(calls.released(term))

        threading.Thread(target=release, name="stead release", daemon=True).start()

    def _resign(self) -> None:
        with self._lock:
            self._is_candidate, self._tasks = False, []
        perform(calls.candidate(False))


def worker(task: Callable[..., Any], *, concurrency: int = 1) -> None:
    """Makes this process a worker of a pool: calls `task(input, job)` as long as tasks come.

    Standard output belongs to the protocol: what the program prints goes to standard error.
    """
    output = protocol_output()
    lock = threading.RLock()
    jobs: queue.SimpleQueue[Optional[tuple[Job, Any]]] = queue.SimpleQueue()

    def write(text: bytes) -> None:
        with lock:
            output.write(text)
            output.flush()

    core = WorkerCore(concurrency, lambda job, data: jobs.put((job, data)), write)

    def read() -> None:
        for text in sys.stdin.buffer:
            with lock:
                core.receive(text)
        with lock:
            core.end(stop)

    def stop() -> None:
        for _ in range(concurrency):
            jobs.put(None)

    def work() -> None:
        for job, data in iter(jobs.get, None):
            try:
                result = task(data, job)
            except Exception as error:
                with lock:
                    core.failed(job, error)
            else:
                with lock:
                    core.done(job, result)

    core.begin()
    threading.Thread(target=read, name="stead", daemon=True).start()
    others = [threading.Thread(target=work, daemon=True) for _ in range(concurrency - 1)]
    for thread in others:
        thread.start()
    work()
    for thread in others:
        thread.join()


def protocol_output() -> Any:
    """Standard output for this package alone; what is printed goes to standard error instead."""
    sys.stdout.flush()
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return output
