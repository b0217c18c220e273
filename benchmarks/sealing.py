"""What sealing costs, in bytes and in time: `python -m benchmarks.sealing`. The table of docs/encryption.md.

A task is sealed twice and opened three times: its input by the producer and its output by the worker; its
input by the worker, and both by who reads it. Times are the best of several rounds: what the work takes,
whatever else the machine does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Final

from benchmarks.machine import machine
from qm.client import new_task
from qm.ids import new_id
from qm.messages import Finish, Slot, TypeOptions, WorkerInfo
from qm.payload import pack, unpack
from qm.sealing import Keyring, PayloadKeys, Place, Purpose, new_key
from qm.testing import running_manager

SIZES: Final = (16, 128, 1024, 16 * 1024, 128 * 1024, 1024 * 1024 - 5)

_ROUNDS: Final = 25
_TASKS: Final = 200


def main() -> None:
    """Prints the table."""
    print(", ".join([*machine().values(), f"cryptography {version('cryptography')}"]), "\n")
    print("| payload, bytes | sealed, bytes more | seal, µs | open, µs |")
    print("|---:|---:|---:|---:|")
    for size in SIZES:
        print("| {:,} | {:,} | {:,.0f} | {:,.0f} |".format(*_row(size)))
    print()
    for keys in ((), (new_key(),), (new_key(), new_key())):
        print(f"a whole task, 128 bytes in and out, {len(keys)} keys: {_whole(keys):,.0f} µs")


def _row(size: int) -> tuple[int, int, float, float]:
    keyring = Keyring(PayloadKeys((new_key(),)))
    place, packed = Place(Purpose.INPUT, new_id(), "mail"), os.urandom(size)
    sealed = keyring.seal(place, packed)
    number = max(1, min(1000, 2_000_000 // size))
    seal = _best(lambda: keyring.seal(place, packed), number)
    opened = _best(lambda: keyring.open(place, sealed), number)
    return size, len(sealed) - size, seal, opened


def _best(work: Callable[[], object], number: int) -> float:
    """Microseconds of one call."""
    rounds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        for _ in range(number):
            work()
        rounds.append((time.perf_counter() - start) / number)
    return min(rounds) * 1e6


def _whole(keys: tuple[str, ...]) -> float:
    """Microseconds of a task from add to get, in bulk; manager, client and store in this process."""
    value = "x" * 126
    with running_manager() as manager:
        client, slot = manager.client(payload_keys=keys), Slot(new_id(), 0, 0)
        options = {"mail": TypeOptions()}
        client.attach(WorkerInfo(session=slot.session, host="bench", pid=1, processes=1, types=options))

        def run() -> None:
            ids = client.add_many([new_task("mail", value) for _ in range(_TASKS)])
            taken = client.take_many(slot, ["mail"], _TASKS)
            client.finish_many([Finish(task.lease, pack(unpack(task.input))) for task in taken])
            assert all(task.output == value for task in client.get_many(ids))
            client.forget_many(ids)

        assert len(pack(value)) == 128
        return _best(run, 1) / _TASKS


if __name__ == "__main__":
    main()
