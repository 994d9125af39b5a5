"""Messages, shared values, one leader and pools of workers, for programs that Stead runs.

The functions here wait for their answers; `stead.aio` has the same for asyncio. An example of each
stands in docs/sdk-python.md.
"""

from __future__ import annotations

from typing import Any

from . import _blocking
from ._blocking import BlockingLeader as Leader
from ._blocking import BlockingPool as Pool
from ._blocking import BlockingShared as Shared
from ._blocking import Role, worker
from ._calls import Delivery
from ._inbox import About
from ._worker import Job
from .errors import SteadError

_client = _blocking.Client()

send = _client.send
broadcast = _client.broadcast
request = _client.request
on = _client.on
off = _client.off
handle = _client.handle
shared = _client.shared
leader = _client.leader
pool = _client.pool
wait = _client.wait

__all__ = [
    "About",
    "Delivery",
    "Job",
    "Leader",
    "Pool",
    "Role",
    "Shared",
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
    "wait",
    "worker",
]


def __getattr__(name: str) -> Any:
    if name == "inside":
        import os

        #: Whether Stead runs this program: whether all but `worker` can be used.
        return bool(os.environ.get("STEAD_SOCKET"))
    raise AttributeError(name)
