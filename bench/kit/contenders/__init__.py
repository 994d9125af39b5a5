"""What is compared. `base.py` says what every contender can do; one file for each that is.

A contender starts everything it needs on loopback ports of its own, below this process, and is ended with its row.
"""

from .base import Program, Setting
from .command import Command
from .haproxy import HaProxy, HaProxyRetry
from .nginx import Nginx, NginxNextUpstream
from .node import Cluster, Node
from .pm2 import Pm2
from .stead import Stead, SteadInBackground

FAMILIES = (
    "node", "cluster", "pm2", "nginx", "haproxy",
    "c", "python", "piscina", "workerpool", "bullmq", "celery", "parallel", "xargs",
    "stead",
)  # fmt: skip

__all__ = [
    "FAMILIES",
    "Cluster",
    "Command",
    "HaProxy",
    "HaProxyRetry",
    "Nginx",
    "NginxNextUpstream",
    "Node",
    "Pm2",
    "Program",
    "Setting",
    "Stead",
    "SteadInBackground",
]
