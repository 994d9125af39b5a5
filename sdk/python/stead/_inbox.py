"""What comes from others, without any I/O: who listens to what, which values are known, who leads.

`receive` takes an envelope and says what is to be run for it; running, and telling the daemon, is
for the two forms.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, Callable, Optional, Union

#: The topic that stands for all.
ANY = "*"


@dataclass(frozen=True)
class About:
    """Where a message comes from."""

    #: The worker that sent it, as `shop.1`, or `outside`.
    sender: str
    topic: Optional[str]


@dataclass
class Deliver:
    """Listeners are to be called."""

    listeners: list[Callable[..., Any]]
    arguments: tuple[Any, ...]


@dataclass
class Answer:
    """A request is to be answered with what `handler` returns; without one, with an error."""

    token: str
    handler: Optional[Callable[..., Any]]
    data: Any
    about: About


@dataclass
class Acquired:
    """This worker leads now."""

    term: int


@dataclass
class Lost:
    """It does not any more, and says so when what it did as leader has ended."""

    term: int


Action = Union[Deliver, Answer, Acquired, Lost]


class Value:
    """A shared value as this process knows it."""

    def __init__(self, name: str) -> None:
        self.name = name
        #: The last value that came; None as long as there is none.
        self.value: Any = None
        #: Rises with each change; 0 as long as there is no value.
        self.version = 0
        self._changed: Optional[float] = None
        self._listeners: list[Callable[..., Any]] = []

    def on_change(self, listener: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
        """Calls `listener(value, version)` whenever a new value comes; a decorator too."""
        self._listeners.append(listener)
        return listener

    def _receive(self, version: int, value: Any) -> list[Action]:
        if version <= self.version:
            return []
        self.value, self.version, self._changed = value, version, time.monotonic()
        return [Deliver(list(self._listeners), (value, version))]

    def _rest_of_period(self, every: float) -> float:
        """How long the last value is good for, in seconds."""
        return 0.0 if self._changed is None else max(0.0, self._changed + every - time.monotonic())


class Leader:
    """The role of leader, as far as this worker knows."""

    def __init__(self) -> None:
        #: Whether this worker has it.
        self.held = False
        #: The number of the leadership, which rises with each: a fencing token.
        self.term = 0
        #: The worker that has it, as `shop.2`; None if nobody has, or nobody knows.
        self.who: Optional[str] = None

    def _receive(self, words: dict[str, Any]) -> list[Action]:
        term = words.get("term", self.term)
        if words["leader"]:
            is_new = not self.held or self.term != term
            self.held, self.term, self.who = True, term, os.environ.get("STEAD_WORKER")
            return [Acquired(term)] if is_new else []
        was_held, self.held, self.who = self.held, False, words.get("who")
        # Nobody leads before it is released: a daemon that has not heard so asks again.
        if was_held or self.who is None:
            return [Lost(term)]
        self.term = term
        return []


class Inbox:
    def __init__(self) -> None:
        self.leader: Optional[Leader] = None
        self.values: dict[str, Value] = {}
        self._listeners: dict[str, list[Callable[..., Any]]] = {}
        self._handlers: dict[str, Callable[..., Any]] = {}

    def on(self, topic: str, listener: Callable[..., Any]) -> None:
        self._listeners.setdefault(topic, []).append(listener)

    def off(self, topic: str, listener: Callable[..., Any]) -> None:
        listeners = self._listeners.get(topic, [])
        if listener in listeners:
            listeners.remove(listener)

    def handle(self, topic: str, handler: Optional[Callable[..., Any]]) -> None:
        if handler is None:
            self._handlers.pop(topic, None)
        else:
            self._handlers[topic] = handler

    def receive(self, message: dict[str, Any]) -> list[Action]:
        words, data = message["stead"], message.get("data")
        if "leader" in words:
            return self.leader._receive(words) if self.leader else []
        if "shared" in words:
            value = self.values.get(words["shared"])
            return value._receive(words["version"], data) if value else []
        if "from" in words:
            return self._message(words, data)
        # What is left was made by a later daemon for a later package.
        return []

    def _message(self, words: dict[str, Any], data: Any) -> list[Action]:
        about = About(words["from"], words.get("topic"))
        topic = about.topic or ""
        if "request" in words:
            handler = self._handlers.get(topic, self._handlers.get(ANY))
            return [Answer(words["request"], handler, data, about)]
        listeners = [*self._listeners.get(topic, []), *self._listeners.get(ANY, [])]
        return [Deliver(listeners, (data, about))]


def no_handler(about: About) -> dict[str, Any]:
    """What the one who asked is told when nobody handles the topic."""
    return {"code": "no_receiver", "message": f"nothing handles the topic `{about.topic}` there"}
