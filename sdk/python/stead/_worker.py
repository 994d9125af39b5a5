"""A worker of a pool, without any I/O: which task begins when, and what is said about each.

Tasks come as lines of JSON, more than may run at once; they begin in their order. A line that is
no envelope was sent before the other side knew that this worker speaks the protocol: it is passed
over, because it comes again in an envelope.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Callable, Optional

from .errors import SteadError, sendable, told


class Job:
    """What a task is told about itself, besides its input."""

    def __init__(self, token: str, words: dict[str, Any], write: Callable[[bytes], None]) -> None:
        self._token = token
        self._write = write
        self._on_cancel: Optional[Callable[[], None]] = None
        #: 1, or more if the task was tried before.
        self.attempt: int = words.get("attempt", 1)
        self.key: Optional[str] = words.get("key")
        #: How long it may take, in seconds, if there is a limit.
        self.timeout: Optional[float] = words["timeout"] / 1000 if "timeout" in words else None
        #: Nobody wants the result any more.
        self.cancelled = False

    def progress(self, data: Any) -> None:
        """Tells the one who waits how far the task is."""
        self._write(line({"progress": self._token}, data))

    def part(self, data: Any) -> None:
        """Sends a part of the result."""
        self._write(line({"part": self._token}, data))

    def cancel(self) -> None:
        """For this package."""
        self.cancelled = True
        if self._on_cancel:
            self._on_cancel()


class WorkerCore:
    """Says through `start(job, input)` which task begins, through `write` what is told."""

    def __init__(
        self, concurrency: int, start: Callable[[Job, Any], None], write: Callable[[bytes], None]
    ) -> None:
        if concurrency < 1:
            raise ValueError("`concurrency` is a number above 0")
        self._concurrency = concurrency
        self._start = start
        self._write = write
        self._running: dict[str, Job] = {}
        self._waiting: deque[tuple[Job, Any]] = deque()
        self._idle: Optional[Callable[[], None]] = None

    def begin(self) -> None:
        self._write(line({"worker": True, "concurrency": self._concurrency}))

    def end(self, idle: Callable[[], None]) -> None:
        """No more tasks come; `idle` is called when the last of those that came has ended."""
        self._idle = idle
        self._next()

    def receive(self, text: bytes) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            return
        words = message.get("stead") if isinstance(message, dict) else None
        if not isinstance(words, dict):
            return
        if "run" in words:
            self._waiting.append((Job(words["run"], words, self._write), message.get("data")))
            self._next()
        elif "abort" in words:
            self._abort(words["abort"])

    def done(self, job: Job, result: Any) -> None:
        try:
            text = line({"done": job._token}, result)
        except SteadError as error:
            self.failed(job, error)
            return
        self._end(job, text)

    def failed(self, job: Job, error: BaseException) -> None:
        words: dict[str, Any] = {"failed": job._token, "error": told(error)}
        if getattr(error, "retry", None) is False:
            words["retry"] = False
        self._end(job, line(words))

    def _end(self, job: Job, text: bytes) -> None:
        self._running.pop(job._token, None)
        self._write(text)
        self._next()

    def _next(self) -> None:
        while self._waiting and len(self._running) < self._concurrency:
            job, data = self._waiting.popleft()
            self._running[job._token] = job
            self._start(job, data)
        if self._idle and not self._running:
            self._idle()

    def _abort(self, token: str) -> None:
        if token in self._running:
            self._running[token].cancel()
            return
        for entry in self._waiting:
            if entry[0]._token == token:
                self._waiting.remove(entry)
                error = {"code": "cancelled", "message": "cancelled before it began"}
                self._write(line({"failed": token, "retry": False, "error": error}))
                return


def line(words: dict[str, Any], data: Any = None) -> bytes:
    """An envelope as a line."""
    message = {"stead": words} if data is None else {"stead": words, "data": data}
    return sendable(message) + b"\n"
