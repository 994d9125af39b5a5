"""Single requests: is it serving, when did it answer first, which process answered."""

import http.client
import socket
import threading
import time

from .processes import Failure

BODY = b"ok"
PATIENCE_SECONDS = 30.0


class Answer:
    """A good answer and the process that gave it, if it says so."""

    def __init__(self, pid):
        self.pid = pid


def ask(port, timeout=5.0):
    """One request on a connection of its own; None unless the answer is 200 with the expected body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200 or body != BODY:
            return None
        return Answer(int(response.getheader("x-pid") or 0))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def first_answer(port, child=None, pause=0.001, patience=PATIENCE_SECONDS):
    """Asks until there is a good answer; gives up at once if the child that was started for it has failed."""
    deadline = time.monotonic() + patience
    while ask(port) is None:
        if child is not None and child.poll():
            raise Failure(f"`{' '.join(child.args)}` ended with {child.returncode}")
        if time.monotonic() > deadline:
            raise Failure(f"no good answer on port {port} within {patience:.0f} s")
        time.sleep(pause)


def listening(port, child, patience=PATIENCE_SECONDS):
    """Waits until somebody takes connections, whatever is spoken there."""
    deadline = time.monotonic() + patience
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if child.poll():
            raise Failure(f"`{' '.join(child.args)}` ended with {child.returncode}")
        if time.monotonic() > deadline:
            raise Failure(f"nobody listens on port {port} within {patience:.0f} s")
        time.sleep(0.002)


def all_workers(port, count, patience=PATIENCE_SECONDS):
    """The ids of all processes that answer, once there are `count` of them."""
    deadline = time.monotonic() + patience
    seen = set()
    while len(seen) < count:
        answer = ask(port, timeout=1.0)
        if answer is not None and is_new(answer, seen):
            seen.add(answer.pid)
        if time.monotonic() > deadline:
            raise Failure(f"only {len(seen)} of {count} workers answered within {patience:.0f} s")
        time.sleep(0.002)
    return seen


def is_new(answer, known):
    """It comes from a process that is not known."""
    return answer.pid != 0 and answer.pid not in known


class Watch:
    """Asks from two threads until a process answers that is not among the known ones."""

    THREADS = 2
    PAUSE_SECONDS = 0.003
    # A request that hangs must not hide a worker that serves already.
    TIMEOUT_SECONDS = 0.5

    def __init__(self, port, known):
        self._port = port
        self._known = known
        self._found = threading.Event()
        self._lock = threading.Lock()
        self.asked = 0
        self.failed = 0
        self.found_at = None
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(self.THREADS)]
        for thread in self._threads:
            thread.start()

    def wait(self, patience):
        """The moment (time.monotonic) of the first answer of a new process; None if there was none in time."""
        self._found.wait(patience)
        self._found.set()
        for thread in self._threads:
            thread.join()
        return self.found_at

    def _ask(self):
        while not self._found.is_set():
            answer = ask(self._port, timeout=self.TIMEOUT_SECONDS)
            now = time.monotonic()
            with self._lock:
                self.asked += 1
                self.failed += answer is None
                if answer is not None and is_new(answer, self._known) and self.found_at is None:
                    self.found_at = now
                    self._found.set()
            time.sleep(self.PAUSE_SECONDS)
