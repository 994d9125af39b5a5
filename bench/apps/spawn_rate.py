"""How many children Python's subprocess can start and wait for per second.

python3 spawn_rate.py SECONDS AT_ONCE     prints {"per_s": ...}
"""

import json
import subprocess
import sys
import time
from collections import deque

seconds, at_once = float(sys.argv[1]), int(sys.argv[2])
alive = deque()
ended = 0
begun = time.monotonic()
while alive or time.monotonic() - begun < seconds:
    while len(alive) < at_once and time.monotonic() - begun < seconds:
        alive.append(subprocess.Popen(["/bin/true"]))
    if alive.popleft().wait() != 0:
        sys.exit("a child failed")
    ended += 1
print(json.dumps({"per_s": ended / (time.monotonic() - begun)}))
