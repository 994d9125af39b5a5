"""(s) New TLS connections: how many per second, and what each costs whoever ends TLS."""

import os
import re
import time

from .. import answers
from ..contenders import haproxy, nginx
from ..processes import Failure, arguments, cpu_seconds, free_port, tree
from ..tools import APPS
from .base import STEAD, Column, Scenario, at_most, figure

# Of the seconds of a load.
SHARE = 0.3
PATIENCE_SECONDS = 30
CLIENTS = 2
VERSIONS = {"TLS 1.3": "-tls1_3", "TLS 1.2": "-tls1_2"}


class TlsNginx:
    """NGINX, one worker process."""

    family = "nginx"
    label = "NGINX"
    needs = ("nginx",)

    @staticmethod
    def command(folder, port, certificate, key, _tools):
        """How it is started with that certificate."""
        http = f"""
  server {{ listen 127.0.0.1:{port} ssl backlog=4096; ssl_certificate {certificate}; ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_session_tickets off; location / {{ return 200 'ok'; }} }}"""
        (folder / "nginx.conf").write_text(nginx.settings(folder, 1, http))
        return nginx.command(folder)

    @staticmethod
    def pids(root):
        """The processes that end TLS."""
        return tree(root.pid)


class TlsHaProxy(TlsNginx):
    """HAProxy, one thread."""

    family = "haproxy"
    label = "HAProxy"
    needs = ("haproxy",)

    @staticmethod
    def command(folder, port, certificate, key, _tools):
        both, path = folder / "both.pem", folder / "haproxy.cfg"
        both.write_text(certificate.read_text() + key.read_text())
        text = haproxy.settings(port, 1, [])
        text = text.replace("backlog 4096", f"ssl crt {both} no-tls-tickets backlog 4096")
        path.write_text(text.replace("default_backend copies", "http-request return status 200 content-type text/plain string ok"))
        return ["haproxy", "-f", path]


class TlsStead(TlsNginx):
    """`stead run`, whole."""

    family = "stead"
    label = STEAD
    needs = ("node",)

    @staticmethod
    def command(folder, port, certificate, key, tools):
        (folder / "stead.toml").write_text(f"""
[app.hello]
command = "node {APPS / "hello.js"}"
listen = ["https://127.0.0.1:{port}"]
tls = {{ certificate = "{certificate}", key = "{key}" }}
""")
        variables = [f"STEAD_RUNTIME_DIR={folder / 'run'}", f"STEAD_HOME={folder / 'home'}"]
        return ["env", f"--chdir={folder}", *variables, tools.stead, "run"]

    @staticmethod
    def pids(root):
        """Keeper and daemon; the copy of the program has nothing to do."""
        return [pid for pid in tree(root.pid) if arguments(pid)[0] != "node"]


def measure(row):
    """CPU of whoever ends TLS, divided by connections; its core is its own."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Failure("needs two cores: one for whoever ends TLS alone, one for the clients")
    folder, port = row.processes.folder / "server", free_port()
    folder.mkdir()
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30]
    words += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    row.processes.run([*words, "-keyout", key, "-out", certificate], PATIENCE_SECONDS)
    command = row.contender.command(folder, port, certificate, key, row.setting.tools)
    root = row.processes.start(command, cores=[cores[0]])
    answers.listening(port, root)
    _connections(row, port, 1, cores[1:])
    pids = row.contender.pids(root)
    before, begun = cpu_seconds(pids), time.monotonic()
    count = _connections(row, port, max(1, round(row.setting.seconds * SHARE)), cores[1:])
    used, elapsed = cpu_seconds(pids) - before, time.monotonic() - begun
    return {"us": used / count * 1e6, "core_per_s": count / used, "busy": used / elapsed, "per_s": count / elapsed}


def _connections(row, port, seconds, cores):
    """Clients that do nothing but shake hands; how often they did."""
    command = ["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", seconds, VERSIONS[row.load]]
    clients = [row.processes.start(command, cores=cores, capture=True) for _ in range(CLIENTS)]
    count = 0
    for client in clients:
        text = row.processes.finish(client, seconds + PATIENCE_SECONDS)
        found = re.search(r"(\d+) connections in \d+ real seconds", text)
        if not found or found[1] == "0":
            raise Failure(f"`openssl s_time` made no connection: {text[-300:]}")
        count += int(found[1])
    return count


def goals(figures):
    """As many as NGINX from a core."""

    def cost(load, contender):
        return figure(figures, load, contender.label, "us")

    return [
        at_most(f"CPU per new connection, {load}: at most NGINX's", cost(load, TlsStead), cost(load, TlsNginx), " us")
        for load in VERSIONS
    ]


SCENARIO = Scenario(
    letter="s",
    title="New TLS connections",
    about=(
        f"{CLIENTS} clients (`openssl s_time -new`) that connect, shake hands in full (certificate with a P-256 key, no tickets used), "
        "and close; whoever ends TLS has a core of its own (one process or thread; Stead whole), the clients have the others. The "
        "clients need more than it does: *us* is CPU time per connection, *a core could* is what follows from it."
    ),
    contenders=(TlsNginx, TlsHaProxy, TlsStead),
    columns=(
        Column("us", "us per connection"),
        Column("core_per_s", "a core could/s"),
        Column("per_s", "connections/s here"),
        Column("busy", "busy", digits=2),
    ),
    measure=measure,
    goals=goals,
    loads={version: version for version in VERSIONS},
    needs=("openssl", "taskset"),
)
