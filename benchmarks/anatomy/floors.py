"""What a call cannot be faster than: the bare parts of it, measured alone."""

from __future__ import annotations

import multiprocessing
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.timing import median
from qm.wire.address import tune
from qm.wire.frames import Connection

_FORK: Final = multiprocessing.get_context("fork")
_TIMES: Final = 3_000
_SYNCS: Final = 500

#: What a commit of one task writes to the log, in bytes.
_COMMIT: Final = 8192


def echo() -> float:
    """Seconds for a bare exchange over the wire: a msgpack message as long as an add, framed as ours, to a
    process that sends it back; each end packs and unpacks it."""
    with _echoing() as connection:
        message = {"verb": "add", "args": bytes(80)}

        def once() -> None:
            connection.send_frame(msgspec.msgpack.encode(message))
            msgspec.msgpack.decode(connection.recv_frame())

        return _median(once, _TIMES)


def ping() -> float:
    """Seconds for one byte to a process and back, through sockets alone: what the machine takes to wake two
    processes."""
    near, far = _pair()

    def answer() -> None:
        while data := far.recv(1):
            far.sendall(data)

    def once() -> None:
        near.sendall(b"x")
        near.recv(1)

    with _child(answer, far):
        found = _median(once, _TIMES)
        near.close()
    return found


def sync(folder: Path) -> float:
    """Seconds to write 8 KiB at the end of a file in `folder` and sync it."""
    data = bytes(_COMMIT)
    with tempfile.TemporaryFile(dir=folder) as file:

        def once() -> None:
            os.write(file.fileno(), data)
            os.fdatasync(file.fileno())

        return _median(once, _SYNCS)


def _median(work: Callable[[], None], times: int) -> float:
    for _ in range(times // 10):
        work()
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return median(found)


def _pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    tune(near)
    tune(far)
    return near, far


@contextmanager
def _echoing() -> Iterator[Connection]:
    near, far = _pair()
    there = Connection(far)

    def answer() -> None:
        while True:
            try:
                message = msgspec.msgpack.decode(there.recv_frame())
            except EOFError:
                return
            there.send_frame(msgspec.msgpack.encode(message))

    with _child(answer, far):
        yield Connection(near)
        near.close()


@contextmanager
def _child(work: Callable[[], Any], its: socket.socket) -> Iterator[None]:
    process = _FORK.Process(target=work, daemon=True)
    process.start()
    its.close()
    try:
        yield
    finally:
        process.kill()
        process.join()
