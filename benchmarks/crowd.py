"""crowd, crowd4000: what thousands of connected workers cost that have nothing to do."""

from __future__ import annotations

import multiprocessing
import resource
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from benchmarks.producing import UNSERVED
from benchmarks.stage import Stage, stage
from benchmarks.timing import milliseconds
from benchmarks.usage import pss_megabytes, tree
from benchmarks.waiting import round_trips
from qm.ids import new_id
from qm.limits import SESSION_TERM, WAIT_MAX
from qm.messages import Claim, Slot, TypeOptions, WorkerInfo
from qm.wire.address import parse_address
from qm.wire.codec import Request, encode, envelope
from qm.wire.frames import Connection
from qm.wire.remote import dial
from qm.wire.verbs import QUEUE

_FORK: Final = multiprocessing.get_context("fork")
_POOL: Final = 1_000
_OTHER_FILES: Final = 200
_READY_SECONDS: Final = 60.0


def crowd(durability: str, prefix: str = "crowd", workers: int = _POOL) -> dict[str, float]:
    """One task at a time, beside `workers` that wait for tasks of another type. Raises `OSError` where the
    machine does not allow that many connections."""
    _check_files(workers)
    with stage(durability, workers=2) as here, _idle(here, workers), here.client() as client:
        trips = round_trips(client)
        memory = pss_megabytes(tree(here.manager))
    return {**milliseconds(prefix, trips, (50, 99)), f"{prefix}_memory": memory}


crowd4000 = partial(crowd, prefix="crowd4000", workers=4_000)


def _check_files(workers: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < workers + _OTHER_FILES:
        raise OSError(
            f"{workers:,} connections need more open files than this machine allows (ulimit -Hn: {hard:,})"
        )


@contextmanager
def _idle(here: Stage, workers: int) -> Iterator[None]:
    """Pools of a thousand workers each, every pool in a process of its own."""
    ready: Any = _FORK.Semaphore(0)
    pools = [
        _FORK.Process(target=_pool, args=(here, min(_POOL, workers - first), ready), daemon=True)
        for first in range(0, workers, _POOL)
    ]
    try:
        for pool in pools:
            pool.start()
        for pool in pools:
            if not ready.acquire(timeout=_READY_SECONDS) or not pool.is_alive():
                raise RuntimeError(f"{workers:,} workers did not connect")
        yield
    finally:
        for pool in pools:
            pool.kill()
            pool.join()


def _pool(here: Stage, size: int, ready: Any) -> None:
    """A session of `size` slots, each with a connection of its own that waits in a take, as those of a pool's
    children do. Stays until it is killed."""
    _allow_files(size + _OTHER_FILES)
    info = WorkerInfo(session=new_id(), host="bench", pid=1, processes=size, types={UNSERVED: TypeOptions()})
    client = here.client()
    client.attach(info)
    slots = [_IdleSlot(here, info.session, index) for index in range(size)]
    replies = select.epoll()
    by_fd = {slot.connection.fileno(): slot for slot in slots}
    for fd in by_fd:
        replies.register(fd, select.EPOLLIN)
    ready.release()
    renewed = time.monotonic()
    while True:
        for fd, _ in replies.poll(1.0):
            by_fd[fd].take_again()
        if time.monotonic() > renewed + SESSION_TERM / 3:
            client.renew(info.session)
            renewed = time.monotonic()


class _IdleSlot:
    """A worker that is told every half minute that there is nothing, and asks again."""

    def __init__(self, here: Stage, session: str, index: int) -> None:
        self.connection: Connection = dial(parse_address(here.address, 0), here.key())
        self._slot = Slot(session, index, 0)
        self._call = 0
        self._take()

    def take_again(self) -> None:
        """After the answer to the last take."""
        self.connection.recv_frame()
        self._take()

    def _take(self) -> None:
        self._call += 1
        claim = Claim(slot=self._slot, call=self._call, holding=[], types=[UNSERVED])
        arguments = encode(QUEUE["take"].arguments(claim, WAIT_MAX))
        self.connection.send_frame(envelope(Request(self._call, "queue", "take", arguments)), 10.0)


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
