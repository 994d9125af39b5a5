"""What stands in for the daemon: a test gives it a function that answers each request."""

import json
import os
import socketserver
import tempfile
import threading
from http.server import BaseHTTPRequestHandler


class Question:
    """One request, and how it is answered."""

    def __init__(self, handler, body):
        self.line = f"{handler.command} {handler.path}"
        self.headers = handler.headers
        self.body = body
        self._handler = handler

    def answer(self, status, body=None, headers=()):
        text = b"" if body is None else json.dumps(body).encode()
        self._handler.send_response(status)
        for name, value in dict(headers).items():
            self._handler.send_header(name, value)
        self._handler.send_header("Content-Length", str(len(text)))
        self._handler.end_headers()
        self._handler.wfile.write(text)

    def open(self):
        """Begins a chunked stream of events."""
        self._handler.send_response(200)
        self._handler.send_header("Transfer-Encoding", "chunked")
        self._handler.end_headers()

    def event(self, name, data):
        text = f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
        # In two pieces: what belongs together need not come together.
        for piece in (text[:9], text[9:]):
            self._handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def end(self):
        self._handler.wfile.write(b"0\r\n\r\n")


class Daemon:
    """Listens until the test ends; `answer(question)` runs in a thread."""

    def __init__(self, test, answer):
        self.questions = []
        folder = tempfile.TemporaryDirectory()
        path = os.path.join(folder.name, "socket")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(handler):
                length = int(handler.headers.get("Content-Length", 0))
                question = Question(
                    handler, json.loads(handler.rfile.read(length)) if length else None
                )
                self.questions.append(question)
                try:
                    answer(question)
                except BrokenPipeError:
                    # The program has what it wanted.
                    pass

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def address_string(handler):
                return "a test"

            def log_message(handler, *_):
                pass

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True
            block_on_close = False

        server = Server(path, Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        test.addCleanup(folder.cleanup)
        test.addCleanup(server.server_close)
        test.addCleanup(server.shutdown)
        before = dict(os.environ)
        os.environ.update(STEAD_SOCKET=path, STEAD_APP="shop", STEAD_WORKER="shop.0")
        test.addCleanup(lambda: (os.environ.clear(), os.environ.update(before)))

    def lines(self):
        return [question.line for question in self.questions]
