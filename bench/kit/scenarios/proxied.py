"""(g) CPU per proxied request: the proxy alone, on one core of its own, before a server that costs next to nothing."""

import os
import time

from .. import answers, load
from ..contenders import haproxy, nginx
from ..parts import Example
from ..processes import Failure, cpu_seconds, free_port, tree
from .base import STEAD, Column, Scenario, at_most, figure

CLIENTS = 64
PROXY = Example("stead-balancer", "proxy")
WARM_SECONDS = 1
COLUMNS = (
    Column("us", "us per request", digits=1),
    Column("busy", "busy", digits=2),
    Column("per_second", "requests/s"),
    Column("p99_ms", "p99 ms", digits=1),
    Column("failed", "failed", how="sum"),
)
LOADS = {
    "unix keep-alive": "Unix socket to the server, kept connections (`wrk`)",
    "unix connection per request": "Unix socket to the server, a connection per request (`stead-load`)",
    "tcp keep-alive": "TCP to the server, kept connections (`wrk`)",
    "tcp connection per request": "TCP to the server, a connection per request (`stead-load`)",
}


class NginxAlone:
    """NGINX, one worker process."""

    family = "nginx"
    label = "NGINX"
    needs = ("nginx",)

    @staticmethod
    def command(folder, port, upstreams, _tools):
        """How it is started before these upstreams."""
        servers = " ".join(f"server {upstream};" for upstream in upstreams)
        http = f"""
  upstream server {{ {servers} keepalive 128; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}"""
        (folder / "nginx.conf").write_text(nginx.settings(folder, 1, http))
        return nginx.command(folder)


class HaProxyAlone:
    """HAProxy, one thread."""

    family = "haproxy"
    label = "HAProxy"
    needs = ("haproxy",)

    @staticmethod
    def command(folder, port, upstreams, _tools):
        """How it is started before these upstreams."""
        path = folder / "haproxy.cfg"
        path.write_text(haproxy.settings(port, 1, [upstream.replace("unix:", "unix@") for upstream in upstreams]))
        return ["haproxy", "-f", path]


class SteadAlone:
    """Stead's balancer without the rest of Stead, on one lane (crates/balancer/examples/proxy.rs)."""

    family = "stead"
    label = STEAD
    needs = ()
    parts = (PROXY,)

    @staticmethod
    def command(_folder, port, upstreams, tools):
        """How it is started before these upstreams."""
        return ["env", "LANES=1", tools.path(PROXY), f"127.0.0.1:{port}", *upstreams]


def measure(row):
    """CPU time of the proxy divided by requests."""
    return measure_with(row, generate, 1)


def measure_with(row, generate_load, upstreams):
    """The same, with this load and so many sockets of the server."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Failure("needs two cores: one for the proxy alone, one for everything else")
    # A third core, if there is one, keeps the server from the load generator.
    proxy_core, load_core, server_core = cores[0], cores[1], cores[2 % len(cores)] if len(cores) > 2 else cores[1]
    addresses = start_server(row, server_core, upstreams)
    folder = row.processes.folder / "proxy"
    folder.mkdir()
    port = free_port()
    command = row.contender.command(folder, port, addresses, row.setting.tools)
    root = row.processes.start(command, cores=[proxy_core])
    answers.first_answer(port, root)
    generate_load(row, port, WARM_SECONDS, load_core)
    proxy = tree(root.pid)
    before, started = cpu_seconds(proxy), time.monotonic()
    metrics = generate_load(row, port, row.setting.seconds, load_core)
    used, elapsed = cpu_seconds(proxy) - before, time.monotonic() - started
    return metrics | {"us": used / metrics["requests"] * 1e6, "busy": used / elapsed}


def start_server(row, core, count):
    """A server that answers at once, on so many sockets; their addresses, of the kind that the row's load is about."""
    folder = row.processes.folder / "server"
    folder.mkdir()
    ports = [free_port() for _ in range(count)]
    tcp = [f"127.0.0.1:{port}" for port in ports]
    unix = [f"unix:{folder}/{number}" for number in range(count)]
    listens = " ".join(f"listen {address} backlog=4096;" for address in tcp + unix)
    http = f"""
  server {{ {listens} location / {{ return 200 'ok'; }} }}"""
    (folder / "nginx.conf").write_text(nginx.settings(folder, 1, http))
    server = row.processes.start(nginx.command(folder), cores=[core])
    answers.first_answer(ports[0], server)
    return tcp if row.load.startswith("tcp") else unix


def generate(row, port, seconds, core):
    """The load, on a core of its own."""
    if row.load.endswith("keep-alive"):
        return load.wrk(row.processes, port, CLIENTS, seconds, cores=[core])
    running = load.Load(
        row.processes, row.setting.tools.load, port, CLIENTS, seconds, keep_alive=False, cores=[core]
    )
    return running.finish()


def goals(figures):
    """As cheap as NGINX over a Unix socket."""
    return [
        at_most(
            f"CPU per request over a Unix socket, {kind}: at most that of NGINX",
            figure(figures, f"unix {kind}", STEAD, "us"),
            figure(figures, f"unix {kind}", NginxAlone.label, "us"),
            " us",
        )
        for kind in ("keep-alive", "connection per request")
    ]


SCENARIO = Scenario(
    letter="g",
    title="CPU per proxied request",
    about=(
        f"The proxy alone on one core (one process, thread or lane), {CLIENTS} clients without pause on another; the server is NGINX with "
        "`return 200`, beside the clients, or on a third core if there is one. *us* is the CPU time of the proxy per request, "
        "*busy* how much of its core it used. For Stead it is the balancer alone: `cargo run --release -p stead-balancer --example proxy`."
    ),
    contenders=(NginxAlone, HaProxyAlone, SteadAlone),
    columns=COLUMNS,
    measure=measure,
    goals=goals,
    loads=LOADS,
    needs=("wrk", "nginx", "taskset"),
)
