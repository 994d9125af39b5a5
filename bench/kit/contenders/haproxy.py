"""HAProxy before copies with ports of their own. `settings` is shared with the measurement of the bare proxy."""

from .base import Proxied


def settings(port, threads, servers, balance="leastconn", defaults=""):
    """A configuration; `servers` are lines of its backend."""
    lines = "\n".join(f"  server copy{index} {server}" for index, server in enumerate(servers))
    return f"""global
  maxconn 8000
  nbthread {threads}
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout queue 60s
  option http-keep-alive
  http-reuse always
{defaults}
frontend public
  bind 127.0.0.1:{port} backlog 4096
  default_backend copies
backend copies
  balance {balance}
{lines}
"""


class HaProxy(Proxied):
    """`balance leastconn`, connections to the copies kept and shared."""

    family = "haproxy"
    label = "HAProxy leastconn"
    needs = ("node", "haproxy")
    server_options = ""
    defaults = ""

    def start_proxy(self):
        servers = [f"127.0.0.1:{port} {self.server_options}" for port in self.ports]
        path = self.folder / "haproxy.cfg"
        path.write_text(settings(self.port, self.setting.workers, servers, defaults=self.defaults))
        return self.processes.start(["haproxy", "-W", "-f", path])


class HaProxyRetry(HaProxy):
    """As an operator sets it up who knows that copies die: health checks, retries, another copy for a retry."""

    label = "HAProxy with retries"
    server_options = "check inter 200ms fall 1 rise 1"
    defaults = "  retry-on all-retryable-errors\n  retries 3\n  option redispatch 1"
