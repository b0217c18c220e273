"""A door that takes connections in where there is a stack for their threads, and hardly a page more.

It prints how many connections were answered and how many were closed instead, or at which it stood still.
There are fewer places than are closed.

    python -m tests.manager.starved
"""

from __future__ import annotations

import mmap
import resource
import socket
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

from qm.manager.door import Door
from qm.manager.tally import Tally
from qm.wire.address import Address
from qm.wire.frames import Connection
from qm.wire.listener import Listener

#: Seconds after which a connection is one that nobody takes in.
_PATIENCE = 10

#: A thread's first step wants less than so many pages.
_PAGES = 8
_TIMES = 8

#: Of these a door leaves half to others.
_DESCRIPTORS = 32


def greet(connection: Connection) -> None:
    """A connection's whole life."""
    try:
        connection.sock.sendall(b"hello")
    finally:
        connection.close()


def visit(address: Address, memory: int) -> bytes:
    """What the door says to one who comes when there are only so many bytes of memory more."""
    with socket.socket() as sock:
        sock.settimeout(_PATIENCE)
        unlimited = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_used() + memory, unlimited[1]))
        try:
            with suppress(ConnectionResetError):
                sock.connect(address)
                return sock.recv(5)
            return b""
        finally:
            resource.setrlimit(resource.RLIMIT_AS, unlimited)


def main() -> None:
    """Prints one line."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, _DESCRIPTORS))
    listener, stopped = Listener(("127.0.0.1", 0)), threading.Event()
    door = Door(listener, greet, lambda: False, Tally(), stopped)
    threading.Thread(target=door.run, daemon=True).start()
    said: Counter[bytes] = Counter()
    visit(listener.address, 1 << 30)  # its thread leaves a stack for the next
    for pages in [*range(_PAGES)] * _TIMES:
        try:
            said[visit(listener.address, pages * mmap.PAGESIZE)] += 1
        except TimeoutError:
            sys.exit(f"stood still with {pages} pages more")
    print(said[b"hello"], said[b""])


def _used() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE


if __name__ == "__main__":
    main()
