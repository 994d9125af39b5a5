"""(m) CPU per proxied request with one route and with two hundred: what it costs to find the app of a request."""

from ..contenders import nginx
from .base import STEAD, Scenario, at_most, figure
from .proxied import CLIENTS, COLUMNS, PROXY, NginxAlone, SteadAlone, measure

MANY = 200
LOAD = "unix keep-alive"
# What two rows of the same thing differ by on a machine that is not quite still.
NOISE = 1.05


class NginxRouted:
    """NGINX with as many servers, each for a host."""

    family = "nginx"
    label = f"NGINX, {MANY} hosts"
    needs = ("nginx",)

    @staticmethod
    def command(folder, port, upstreams, _tools):
        """How it is started before these upstreams."""
        names = [f"h{number}.example.org" for number in range(1, MANY)] + ["127.0.0.1"]
        servers = "\n".join(
            f"""  server {{ listen 127.0.0.1:{port}; server_name {name};
    location / {{ proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}"""
            for name in names
        )
        targets = " ".join(f"server {upstream};" for upstream in upstreams)
        http = f"""
  upstream server {{ {targets} keepalive 128; keepalive_requests 1000000000; }}
{servers}"""
        (folder / "nginx.conf").write_text(nginx.settings(folder, 1, http))
        return nginx.command(folder)


class SteadRouted:
    """Stead's balancer alone, with as many routes."""

    family = "stead"
    label = f"{STEAD}, {MANY} routes"
    needs = ()
    parts = (PROXY,)

    @staticmethod
    def command(_folder, port, upstreams, tools):
        """How it is started before these upstreams."""
        return ["env", "LANES=1", f"ROUTES={MANY}", tools.path(PROXY), f"127.0.0.1:{port}", *upstreams]


def goals(figures):
    """Two hundred routes cost what one does."""
    one = figure(figures, LOAD, STEAD, "us")
    return [
        at_most(
            f"CPU per request with {MANY} routes: at most {NOISE} times that without any",
            figure(figures, LOAD, SteadRouted.label, "us"),
            None if one is None else one * NOISE,
            " us",
        )
    ]


SCENARIO = Scenario(
    letter="m",
    title=f"CPU per proxied request with {MANY} routes",
    about=(
        f"As (g), over a Unix socket with kept connections of {CLIENTS} clients: one app that gets everything, and one whose requests "
        f"are looked up among {MANY} hosts and paths."
    ),
    contenders=(NginxAlone, NginxRouted, SteadAlone, SteadRouted),
    columns=COLUMNS,
    measure=measure,
    goals=goals,
    loads={LOAD: ""},
    needs=("wrk", "nginx", "taskset"),
)
