"""How long the page's answers take over many ended tasks: python -m benchmarks.page

Usage:
  page [--tasks N] [--types N] [--times N]

Options:
  --tasks N  Ended tasks [default: 100000].
  --types N  Their types; 3 tasks beside them are of a rare one [default: 4].
  --times N  Requests of each kind [default: 100].

A manager over SQLite in this process, the web process beside it, and one viewer on one connection.
"""

from __future__ import annotations

import http.client
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from docopt import docopt

from benchmarks.timing import percentile, seconds
from qm.manager import QueueManager
from qm.manager.webprocess import WebProcess
from qm.messages import Fail, Finish, NewTask, Slot
from qm.payload import pack, pack_failure
from qm.policy.decision import Bury
from qm.queue import Queue
from qm.store.sqlite import SQLiteStore
from qm.task import Failure
from qm.wire.address import Address

_KEY: Final = b"k" * 32
_SLOT: Final = Slot("session", 0, 1)
_DAY: Final = 86400.0
_CHUNK: Final = 250
_ERROR: Final = pack_failure(Failure("ValueError", "no such customer", "Traceback ...\n" * 20))

#: Path and Accept header of each kind of request.
_REQUESTS: Final = (
    ("/", "*/*"),
    ("/", "text/html"),
    ("/api/overview", "*/*"),
    ("/api/tasks", "*/*"),
    ("/api/tasks?type=rare", "*/*"),
    ("/api/tasks?state=failed", "*/*"),
    ("/api/tasks?state=cancelled", "*/*"),
    ("/api/tasks?type=nobody", "*/*"),
    ("/api/tasks?limit=200", "*/*"),
    ("/api/tasks/rare-0", "*/*"),
)


def end(store: SQLiteStore, name: str, tasks: int, at: float, *, well: bool = True) -> None:
    """So many tasks of this type that ended, oldest first."""
    for start in range(0, tasks, _CHUNK):
        ids = [f"{name}-{number}" for number in range(start, min(tasks, start + _CHUNK))]
        given = pack({"to": "customer@example.org", "subject": "Your order", "lines": [1, 2, 3]})
        store.add([NewTask(id=id_, type=name, input=given, digest=b"d" * 16) for id_ in ids], at)
        leases = [taken.lease for taken in store.take(_SLOT, [name], len(ids), at, _DAY)]
        if well:
            store.finish([Finish(lease, pack(list(range(20)))) for lease in leases], at + start / 1000, _DAY)
        else:
            bury = Bury("not retryable")
            store.fail([(Fail(lease, _ERROR), bury) for lease in leases], at + start / 1000, _DAY)


@contextmanager
def page(tasks: int, types: int) -> Iterator[Address]:
    """Where the page of such a manager is."""
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore.open(Path(folder, "queue.db"), durability="relaxed")
        now = time.time()
        end(store, "rare", 3, now - 2000)
        end(store, "broken", 20, now - 1900, well=False)
        for number in range(types):
            end(store, f"type-{number}", tasks // types, now - 1000)
        queue = Queue(store)
        queue.start()
        server = QueueManager(("127.0.0.1", 0), _KEY, queue).get_server()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        web = WebProcess(Address(*server.address), Address("127.0.0.1", 0), _KEY, log_level="warning")
        try:
            yield web.start()
        finally:
            web.stop()
            queue.drain()
            server.stop()
            thread.join()
            store.close()


def main() -> None:
    """Measures and prints."""
    options: dict[str, Any] = docopt(__doc__)
    with page(int(options["--tasks"]), int(options["--types"])) as address:
        connection = http.client.HTTPConnection(*address, timeout=30)
        print(f"{'request':40} {'status':>6} {'bytes':>8} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}")
        for path, accept in _REQUESTS:
            times, status, size = [], 0, 0

            def ask(path: str = path, accept: str = accept) -> None:
                nonlocal status, size
                connection.request("GET", path, headers={"Accept": accept})
                answer = connection.getresponse()
                status, size = answer.status, len(answer.read())

            ask()
            for _ in range(int(options["--times"])):
                if path == "/api/overview":
                    time.sleep(0.55)  # a look serves all that come within half a second: not what is measured
                times.append(1000 * seconds(ask))
            found = (percentile(times, 50), percentile(times, 99), max(times))
            print(f"{path + ' ' + accept:40} {status:6} {size:8} " + " ".join(f"{one:8.1f}" for one in found))


if __name__ == "__main__":
    main()
