"""What can be asked of the daemon, without any I/O: each question as a `Call`, and its answer.

A conversation is a generator: it yields what is to be done (an `Exchange`, a `Pause`) and is given
what came of it, so that the blocking and the asyncio form of this package share every decision.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, Union
from urllib.parse import quote, urlencode

from ._http import Answer, request_bytes
from .errors import SteadError, received, sendable

#: How often is tried what may be repeated, and the longest pause between: half a minute in all.
TRIES_MAX = 20
PAUSE_MAX = 2.0

Address = Union[str, dict[str, Any]]


@dataclass
class Exchange:
    """Bytes for a new connection, and what the bytes that come are given to until it is done."""

    request: bytes
    answer: Answer


@dataclass
class Pause:
    seconds: float


@dataclass
class Call:
    """A question."""

    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    #: May be asked again when nobody knows what became of it.
    repeats: bool = True
    #: Statuses, and codes of errors, that are answers and not failures, besides 2xx.
    also: tuple[Union[int, str], ...] = ()
    #: Makes the value out of the answer.
    read: Callable[[Answer], Any] = lambda answer: answer.json()
    #: Gets the events of a stream.
    event: Optional[Callable[[str, Any], None]] = None
    opened: Optional[Callable[[], None]] = None
    #: Says whether the stream was complete; one that was not is asked for again.
    complete: Callable[[], bool] = lambda: True

    def begin(self) -> Exchange:
        headers = dict(self.headers)
        # A hook or a scheduled command is no worker, and speaks for its app.
        name = os.environ.get("STEAD_WORKER", os.environ.get("STEAD_APP"))
        if name is not None:
            headers["Stead-Worker"] = name
        if self.event:
            headers["Accept"] = "text/event-stream"
        has_body = self.method in ("POST", "PUT")
        body = sendable(self.body) if has_body else None
        return Exchange(
            request_bytes(self.method, self.path, headers, body), Answer(self.event, self.opened)
        )


Step = Union[Exchange, Pause]


def converse(call: Call) -> Generator[Step, None, Any]:
    """Asks until there is an answer; returns its value."""
    tries = 0
    while True:
        exchange = call.begin()
        try:
            yield exchange
        except OSError as error:
            if not call.repeats:
                raise SteadError("interrupted", "the daemon ended before it answered") from error
            if tries >= TRIES_MAX:
                raise SteadError(
                    "disconnected", f"nobody answers on {socket_path()}: {error}"
                ) from error
        else:
            answer = exchange.answer
            refuse(answer, call.also)
            # 202: the daemon that was asked is being replaced, and the next one knows the task.
            if answer.status != 202 and call.complete():
                return call.read(answer)
        if exchange.answer.status == 200:
            # It worked for a while.
            tries = 0
        yield Pause(min(PAUSE_MAX, 0.02 * 2**tries))
        tries += 1


def refuse(answer: Answer, also: tuple[Union[int, str], ...]) -> None:
    if answer.status < 300 or answer.status in also:
        return
    body = answer.json()
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict) or error.get("code") not in also:
        raise received(error or f"Stead answered with status {answer.status}")


def socket_path() -> str:
    """Where the daemon is."""
    path = os.environ.get("STEAD_SOCKET")
    if not path:
        text = "Stead does not run this program: start it with `stead run` or `stead start`"
        raise SteadError("outside", text)
    return path


@dataclass(frozen=True)
class Delivery:
    """What became of a message."""

    #: How many workers have got it, or will when they read.
    receivers: int = 0
    #: How many have not, because they do not read what they have got already.
    dropped: int = 0


def send(to: Address, topic: str, data: Any, include_self: bool = False) -> Call:
    body: dict[str, Any] = {"to": to, "topic": topic, "data": data}
    if include_self:
        body["self"] = True
    return Call(
        "POST", "/v1/messages", body, repeats=False, read=lambda answer: Delivery(**answer.json())
    )


def request(to: Address, topic: str, data: Any, timeout: Optional[float]) -> Call:
    body = {"to": to, "topic": topic, "data": data, "request": True}
    if timeout is not None:
        body["timeout"] = round(timeout * 1000)
    return Call(
        "POST", "/v1/messages", body, repeats=False, read=lambda answer: answer.json().get("data")
    )


def reply(token: str, data: Any = None, error: Optional[dict[str, Any]] = None) -> Call:
    body = {"data": data} if error is None else {"error": error}
    return Call("POST", f"/v1/replies/{quote(token, safe='')}", body, repeats=False)


def listen(event: Callable[[str, Any], None], opened: Callable[[], None]) -> Call:
    """The stream of what others send; it is never complete."""
    return Call("GET", "/v1/messages", event=event, opened=opened, complete=lambda: False)


def candidate(wanted: bool) -> Call:
    return Call("POST", "/v1/candidates", {"candidate": wanted})


def released(term: int) -> Call:
    return Call("POST", "/v1/released", {"term": term})


def get_value(name: str) -> Call:
    def read(answer: Answer) -> tuple[int, Any]:
        return (_version(answer), answer.json()) if answer.status == 200 else (0, None)

    return Call("GET", _value_path(name), also=("no_such_value",), read=read)


def set_value(name: str, value: Any, if_version: Optional[int]) -> Call:
    headers = {} if if_version is None else {"If-Match": f'"{if_version}"'}
    return Call("PUT", _value_path(name), value, headers, read=_version)


def unset_value(name: str) -> Call:
    return Call("DELETE", _value_path(name), also=("no_such_value",), read=lambda answer: None)


def _version(answer: Answer) -> int:
    return int(answer.headers.get("etag", "0").strip('W/"'))


def _value_path(name: str) -> str:
    return (
        f"/v1/apps/{quote(os.environ.get('STEAD_APP', ''), safe='')}/shared/{quote(name, safe='')}"
    )


Told = Optional[Callable[[Any], None]]


def task(
    pool: str, data: Any, terms: dict[str, Any], on_progress: Told = None, on_part: Told = None
) -> Call:
    """A task; `terms` are its `id`, which makes it the same however often it is sent, and more."""
    said = {name: _term(value) for name, value in terms.items() if value is not None}
    path = f"{_pool_path(pool)}/tasks?{urlencode(said)}"
    if on_progress is None and on_part is None:
        return Call("POST", path, data, also=(422,), read=lambda answer: _outcome(answer.json()))
    end: list[Any] = []
    tell = {"progress": on_progress or _ignore, "part": on_part or _ignore}

    def event(name: str, body: Any) -> None:
        tell.get(name, end.append)(body)

    return Call(
        "POST",
        path,
        data,
        event=event,
        complete=lambda: bool(end),
        read=lambda answer: _outcome(end[0]),
    )


def cancel(pool: str, task_id: str) -> Call:
    return Call("DELETE", f"{_pool_path(pool)}/tasks/{quote(task_id, safe='')}")


def terms(
    key: Optional[str],
    priority: Optional[int],
    timeout: Optional[float],
    retries: Optional[int],
    durable: Optional[bool],
) -> dict[str, Any]:
    """What is said of a new task; `timeout` in seconds."""
    milliseconds = None if timeout is None else round(timeout * 1000)
    said = {"id": secrets.token_urlsafe(12), "key": key, "priority": priority}
    return {**said, "timeout": milliseconds, "retries": retries, "durable": durable}


def _term(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _ignore(_data: Any) -> None:
    pass


def _pool_path(pool: str) -> str:
    return f"/v1/pools/{quote(pool, safe='')}"


def _outcome(body: dict[str, Any]) -> Any:
    if body["state"] == "done":
        return body.get("result")
    raise received(
        {
            "code": body["state"],
            "message": f"the task is {body['state']}",
            **(body.get("error") or {}),
        }
    )
