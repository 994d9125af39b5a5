"""A Python web application that knows nothing of Stead.

By itself:      stead run examples/python/app.py --listen 127.0.0.1:8000          (each copy listens on its own PORT)
With gunicorn:  stead run "gunicorn --bind unix:{socket} app:application" --cwd examples/python --listen 127.0.0.1:8000
"""

import os
from wsgiref.simple_server import make_server


def application(environ, start_response):
    answer = f"hello from process {os.getpid()}, path {environ['PATH_INFO']}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]


if __name__ == "__main__":
    make_server("127.0.0.1", int(os.environ["PORT"]), application).serve_forever()
