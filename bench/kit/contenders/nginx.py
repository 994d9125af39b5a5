"""NGINX before copies with ports of their own. `settings` is shared with the measurement of the bare proxy."""

import os

from .base import Proxied


def settings(folder, workers, http):
    """A configuration that needs no folder of the system and keeps connections for ever."""
    # Only a master that runs as root changes user, and then its workers could not enter the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""daemon off; {user} worker_processes {workers}; worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
events {{ worker_connections 8000; }}
http {{
  access_log off; keepalive_requests 1000000000; {temporary}
{http}
}}
"""


def command(folder):
    """How it is started with the configuration in that folder."""
    return ["nginx", "-e", folder / "error.log", "-p", folder, "-c", folder / "nginx.conf"]


class Nginx(Proxied):
    """Round robin with kept connections to the copies, failures handled as by default."""

    family = "nginx"
    label = "NGINX"
    needs = ("node", "nginx")
    server_options = ""
    location_options = ""

    def start_proxy(self):
        folder = self.folder / "nginx"
        folder.mkdir()
        (folder / "nginx.conf").write_text(settings(folder, self.setting.workers, self._http()))
        return self.processes.start(command(folder))

    def _http(self):
        servers = " ".join(f"server 127.0.0.1:{port} {self.server_options};" for port in self.ports)
        return f"""
  upstream copies {{ {servers} keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    location / {{
      proxy_pass http://copies; proxy_http_version 1.1; proxy_set_header Connection "";
      {self.location_options}
    }}
  }}"""


class NginxNextUpstream(Nginx):
    """As an operator sets it up who knows that copies die: asks the other one, and never shuns one for long."""

    label = "NGINX, `max_fails=0`"
    server_options = "max_fails=0"
    location_options = (
        "proxy_next_upstream error timeout http_502; proxy_next_upstream_tries 3; proxy_connect_timeout 1s;"
    )
