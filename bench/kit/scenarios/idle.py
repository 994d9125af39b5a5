"""(n) What clients cost that are connected, have had an answer, and say nothing more."""

import resource
import socket
import statistics
import time

from .. import answers
from ..contenders import HaProxy, Nginx, Program, Stead, haproxy, nginx
from ..processes import Failure, memory_megabytes
from .base import STEAD, Column, Scenario, at_most, figure

FEW = 10_000
MOST = 100_000
# Descriptors for everything else, in the process that has the clients and in the one that serves them.
RESERVE = 1_000
# From one address there are not more ports than some 28,000.
CLIENTS_PER_ADDRESS = 20_000
REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
QUESTIONS = 200
REST_SECONDS = 2.0
LIMIT_MEGABYTES = 60.0
LOADS = {"few": f"{FEW:,} clients", "most": f"as many as this machine's `ulimit -Hn` allows, at most {MOST:,}"}


class IdleNginx(Nginx):
    """Room for all of them in each worker, which cannot be told how many of them it will get."""

    def start_proxy(self):
        text = nginx.settings(self.folder / "nginx", self.setting.workers, self._http())
        text = text.replace("worker_connections 8000", f"worker_connections {most() + RESERVE}")
        text = text.replace("worker_rlimit_nofile 16384;", "")
        folder = self.folder / "nginx"
        folder.mkdir()
        (folder / "nginx.conf").write_text(text.replace("http {", "http { keepalive_timeout 600s;"))
        return self.processes.start(nginx.command(folder))


class IdleHaProxy(HaProxy):
    """The same."""

    defaults = "  timeout http-keep-alive 600s"

    def start_proxy(self):
        servers = [f"127.0.0.1:{port}" for port in self.ports]
        text = haproxy.settings(self.port, self.setting.workers, servers, defaults=self.defaults)
        path = self.folder / "haproxy.cfg"
        # Counted as two descriptors each, of which an idle one has one.
        text = text.replace("global", "global\n  no strict-limits", 1)
        path.write_text(text.replace("maxconn 8000", f"maxconn {most() + RESERVE // 2}"))
        return self.processes.start(["haproxy", "-W", "-f", path])


class IdleStead(Stead):
    """The same."""

    def start(self):
        options = ["--set", f"connections_max={MOST}", "--set", "idle_timeout=10m"]
        command = [self.setting.tools.stead, "run", self.program.path, "-i", self.setting.workers, *options]
        self.root = self.processes.start(command, self._environment())


def most():
    """How many clients one process can have here."""
    return min(MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - RESERVE)


def measure(row):
    """Memory before and with them, and how long others wait for an answer meanwhile."""
    count = min(FEW, most()) if row.load == "few" else most()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    contender = row.contend(Program("hello"))
    contender.serve()
    time.sleep(REST_SECONDS)
    before = memory_megabytes(contender.manager_pids())[0]
    clients = []
    try:
        while len(clients) < count:
            clients.append(_connect(contender.port, len(clients)))
        time.sleep(REST_SECONDS)
        during = memory_megabytes(contender.manager_pids())[0]
        waits = [_question(contender.port) for _ in range(QUESTIONS)]
        closed = sum(_is_closed(client) for client in clients)
    finally:
        for client in clients:
            client.close()
    return {
        "clients": count, "closed": closed, "pss_before": before, "pss": during,
        "kib_each": (during - before) * 1e6 / 1024 / count, "ms": statistics.median(waits) * 1e3, "ms_max": max(waits) * 1e3,
    }


def _connect(port, number):
    client = socket.socket()
    client.settimeout(20)
    client.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
    client.bind((f"127.0.0.{2 + number // CLIENTS_PER_ADDRESS}", 0))
    client.connect(("127.0.0.1", port))
    client.sendall(REQUEST)
    if not client.recv(4096).startswith(b"HTTP/1.1 200"):
        raise Failure(f"client {number} got no good answer")
    return client


def _question(port):
    start = time.monotonic()
    if answers.ask(port) is None:
        raise Failure("somebody else got no good answer")
    return time.monotonic() - start


def _is_closed(client):
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def goals(figures):
    """Small for many."""
    text = f"{FEW:,} idle clients: under {LIMIT_MEGABYTES:.0f} MB"
    return [at_most(text, figure(figures, "few", STEAD, "pss"), LIMIT_MEGABYTES, " MB")]


SCENARIO = Scenario(
    letter="n",
    title="Idle clients",
    about=(
        "Clients from several loopback addresses that each had one answer and keep their connection: PSS of everything that is not a copy of the "
        f"program, before and with them, and how long {QUESTIONS} others waited for an answer, one after another, on connections of their own. *Closed* are clients that were let go."
    ),
    contenders=(IdleNginx, IdleHaProxy, IdleStead),
    columns=(
        Column("clients", "clients"),
        Column("closed", "closed", how="sum"),
        Column("pss_before", "PSS MB before", digits=1),
        Column("pss", "PSS MB with them", digits=1),
        Column("kib_each", "KiB each", digits=1),
        Column("ms", "others wait ms", digits=2),
        Column("ms_max", "longest ms", how="worst", digits=1),
    ),
    measure=measure,
    goals=goals,
    loads=LOADS,
    needs=("nginx", "haproxy"),
    limit_seconds=600,
)
