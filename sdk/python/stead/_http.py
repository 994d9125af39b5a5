"""HTTP/1.1 without any I/O: a request as bytes, an answer put together from pieces, its events."""

from __future__ import annotations

import json
from typing import Any, Callable, Optional

#: An answer without an end is nobody's: the head of one is at most so long.
HEAD_BYTES_MAX = 64 * 1024


def request_bytes(method: str, path: str, headers: dict[str, str], body: Optional[bytes]) -> bytes:
    """A request on a connection of its own."""
    lines = [f"{method} {path} HTTP/1.1", "Host: stead", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


class Answer:
    """An answer, fed with bytes until it is `done`."""

    def __init__(
        self,
        event: Optional[Callable[[str, Any], None]] = None,
        opened: Optional[Callable[[], None]] = None,
    ):
        self.status = 0
        self.headers: dict[str, str] = {}
        self.done = False
        self._event = event
        self._opened = opened
        self._head = b""
        self._body = bytearray()
        self._chunks: Optional[_Chunks] = None
        self._left: Optional[int] = None
        self._events = _Events(event) if event else None

    def feed(self, data: bytes) -> None:
        """Bytes have come; none at all mean that the other side has ended."""
        if not data:
            self._end()
        elif self.status == 0:
            self._feed_head(data)
        else:
            self._feed_body(data)

    def json(self) -> Any:
        """What the body says."""
        return json.loads(self._body) if self._body else None

    def _feed_head(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            if len(self._head) > HEAD_BYTES_MAX:
                raise ConnectionError("the head of the answer does not end")
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            self._chunks = _Chunks()
        elif "content-length" in self.headers:
            self._left = int(self.headers["content-length"])
        if self.status != 200:
            # A refusal is no stream.
            self._events = None
        elif self._opened:
            self._opened()
        self._feed_body(rest)

    def _feed_body(self, data: bytes) -> None:
        if self._chunks:
            data = self._chunks.feed(data)
            self.done = self._chunks.done
        elif self._left is not None:
            self._left -= len(data)
            self.done = self._left <= 0 or self.status == 204
        if self._events:
            self._events.feed(data)
        else:
            self._body += data

    def _end(self) -> None:
        if self._chunks or self._left is not None or self.status == 0:
            raise ConnectionError("the answer ended in the middle")
        self.done = True


class _Chunks:
    """Takes a chunked body apart."""

    def __init__(self) -> None:
        self.done = False
        self._rest = b""
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        self._rest += data
        body = bytearray()
        while self._rest and not self.done:
            if self._left > 0:
                taken = self._rest[: self._left]
                body += taken
                self._left -= len(taken)
                self._rest = self._rest[len(taken) :]
                continue
            line, end, rest = self._rest.partition(b"\r\n")
            if not end:
                break
            self._rest = rest
            # The line end behind a chunk stands alone.
            if line:
                self._left = int(line.partition(b";")[0], 16)
                self.done = self._left == 0
        return bytes(body)


class _Events:
    """Takes a stream of server-sent events apart."""

    def __init__(self, take: Callable[[str, Any], None]) -> None:
        self._take = take
        self._rest = b""
        self._name = "message"
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line.rstrip(b"\r"))

    def _line(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if not line:
            if self._data:
                self._take(self._name, json.loads(b"\n".join(self._data)))
            self._name, self._data = "message", []
        elif field == b"event":
            self._name = value.decode().strip()
        elif field == b"data":
            self._data.append(value)
