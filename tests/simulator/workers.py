"""For the tests here: a worker that is a few lines of the client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from qm.client import Client
from qm.ids import new_id
from qm.messages import Slot, TypeOptions, WorkerInfo
from qm.operations.builtin import OPERATIONS
from qm.payload import unpack
from qm.simulator.load import TYPES
from qm.task import Task
from qm.testing import RunningManager


def right(task: Task) -> Any:
    """What a good worker answers."""
    return OPERATIONS.run(task)


@contextmanager
def working(manager: RunningManager, answer: Callable[[Task], Any] = right) -> Iterator[None]:
    """While inside, a thread takes one task after the other and finishes each with `answer`."""
    info = WorkerInfo(
        session=new_id(), host="test", pid=1, processes=1, types=dict.fromkeys(TYPES, TypeOptions())
    )
    stop = threading.Event()

    def work() -> None:
        with Client(manager.address, manager.authkey) as client:
            client.attach(info)
            while not stop.is_set():
                if taken := client.take(Slot(info.session, 0, 0), TYPES, wait=0.05):
                    task = Task(id=taken.id, type=taken.type, input=unpack(taken.input))
                    client.finish(taken.lease, answer(task))
            client.detach(info.session)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
