"""A manager that restarts under many waiting clients: all come back, and not again and again."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final

from qm.client import Client, new_task
from qm.task import State
from tests.live.stage import KEY, Manager, eventually

WAITERS: Final = 200

#: Seconds for which the manager is away.
AWAY: Final = 0.5

RESTARTS: Final = 3 * int(os.environ.get("QM_ABUSE", "1"))


def parked(manager: Manager) -> int:
    """How many calls wait for the end of a task."""
    return len(manager.queue.core.endings._watches)


def test_all_who_waited_come_back_within_seconds_and_not_again_and_again(
    manager: Manager, client: Client
) -> None:
    """Fault 19: 200 long polls, of a client each."""
    ids = client.add_many([new_task("unserved", n) for n in range(WAITERS)])
    address = ("127.0.0.1", manager.port)
    with ThreadPoolExecutor(WAITERS) as pool, ExitStack() as stack:
        clients = [stack.enter_context(Client(address, KEY, patience=60)) for _ in range(WAITERS)]
        got = [pool.submit(one.get, id_, wait=60) for one, id_ in zip(clients, ids, strict=True)]
        eventually(lambda: parked(manager) == WAITERS)
        for _ in range(RESTARTS):
            manager.stop()
            time.sleep(AWAY)
            manager.start()
            eventually(lambda: parked(manager) == WAITERS, 10)
            assert manager.server.tally.accepted <= 1.25 * WAITERS
        for id_ in ids:
            client.cancel(id_)
        assert [one.result(20).state for one in got] == [State.CANCELLED] * WAITERS
