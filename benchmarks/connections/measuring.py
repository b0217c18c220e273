"""Crowds of connections, and calls beside them."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final, NamedTuple

from benchmarks.stage import Stage
from benchmarks.timing import seconds
from benchmarks.usage import cpu_seconds, pss_megabytes
from qm import Client
from qm.wire.address import Address, parse_address
from qm.wire.channels import dialler
from qm.wire.codec import Request, encode, envelope

#: Seconds: until a manager has settled, of watching its processor time, and of calls, so many a second.
_SETTLE, _WATCH, _CALLING, _RATE = 2.0, 10.0, 10.0, 100

_WAVES: Final = 5
_HANDSHAKES: Final = 10


class Idle(NamedTuple):
    """What was found beside idle connections."""

    #: Seconds of each call without them.
    alone: list[float]
    #: KiB for each of them in the manager.
    memory: float
    #: Of one processor, while nothing happens.
    cpu: float
    #: Seconds of each call beside them.
    calls: list[float]


def beside_idle(here: Stage, count: int) -> Idle:
    """With `count` connections that have proved their key, made one call, and rest."""
    with here.client() as client, ExitStack() as stack:
        alone = _call(client)
        dial = dialler(here.tls)
        before = pss_megabytes([here.manager])
        for _ in range(count):
            connection = dial(_address(here), here.key())
            stack.callback(connection.close)
            connection.send_frame(envelope(Request(1, "queue", "status", encode([]))), 10)
            connection.recv_frame(10)
        time.sleep(_SETTLE)
        memory = (pss_megabytes([here.manager]) - before) * 1024 / count
        used, begun = cpu_seconds([here.manager]), time.monotonic()
        time.sleep(_WATCH)
        cpu = (cpu_seconds([here.manager]) - used) / (time.monotonic() - begun)
        return Idle(alone, memory, cpu, _call(client))


def beside_silent(here: Stage, count: int) -> list[float]:
    """Seconds until an honest client has come and been answered once, each beside `count` connections, of
    which half say nothing and half a byte now and then."""
    times = []
    for _ in range(_WAVES):
        with _silent(here, count) as sockets:
            for _ in range(_HANDSHAKES):
                for sock in random.sample(sockets, count // 40):
                    with suppress(OSError):  # closed by the manager
                        sock.send(b"\0")
                times.append(round(seconds(lambda: _come(here)), 6))
    return times


def _come(here: Stage) -> None:
    with here.client() as client:
        client.status()


def _call(client: Client) -> list[float]:
    """Seconds of calls that are spread over some time."""
    times = []
    begun = time.monotonic()
    for number in range(int(_CALLING * _RATE)):
        time.sleep(max(0.0, begun + number / _RATE - time.monotonic()))
        times.append(round(seconds(client.status), 6))
    return times


@contextmanager
def _silent(here: Stage, count: int) -> Iterator[list[socket.socket]]:
    address = _address(here)
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(address, timeout=30)) for _ in range(count)]


def _address(here: Stage) -> Address:
    return parse_address(here.address, 8090)
