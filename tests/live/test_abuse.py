"""Port 8090 under siege: whatever strangers, floods and shortages do, honest clients are served.

The numbers are small enough for every run of the tests; QM_ABUSE=N multiplies them.
"""

from __future__ import annotations

import os
import random
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread
from typing import Final

import pytest

from qm.limits import FRAME_MAX
from qm.wire.auth import HANDSHAKE_DEADLINE
from qm.wire.codec import Request, encode
from qm.wire.frames import Connection
from tests.live.besieged import Besieged, besieged, crowd, ended, many_descriptors, strangers
from tests.live.groups import allow, count, group_of, join
from tests.live.stage import eventually
from tests.wire.peers import framed

pytestmark = pytest.mark.xdist_group("live-abuse")

ROOT: Final = Path(__file__).parents[2]

#: How much more than in a usual run.
TIMES: Final = int(os.environ.get("QM_ABUSE", "1"))

#: A challenge: its length, "qm1", and 32 random bytes.
CHALLENGE: Final = 4 + 3 + 32


def test_silent_connections_leave_descriptors_for_honest_ones(tmp_path: Path) -> None:
    """Fault 22, with the cap that comes from the limit of descriptors."""
    with besieged(tmp_path, "ulimit -n 64") as manager, crowd(strangers(manager, 200)):
        assert manager.serves() < 5
        assert manager.descriptors() < 64
        assert manager.cpu_share(1) < 0.3


def test_known_connections_up_to_the_cap_are_served_and_more_are_refused(tmp_path: Path) -> None:
    """Row 9."""
    with besieged(tmp_path, "ulimit -n 64") as manager, ExitStack() as stack:
        for _ in range(32):
            stack.callback(manager.known().close)
        for _ in range(50):
            with suppress(ConnectionError), manager.stranger() as stranger:
                assert stranger.recv(1) == b""
        assert manager.log().count("there are 32 connections, as many as there may be") == 1
        assert manager.cpu_share(1) < 0.3
        stack.close()
        assert manager.serves() < 5


def test_without_any_descriptor_it_neither_spins_nor_stays_deaf(tmp_path: Path) -> None:
    """Fault 22, row 7: the limit falls below what the cap was made for."""
    with besieged(tmp_path) as manager:
        few = manager.descriptors() + 10
        resource.prlimit(manager.process.pid, resource.RLIMIT_NOFILE, (few, few))
        with crowd(strangers(manager, 200)):
            assert manager.cpu_share(2) < 0.3
            assert manager.serves() < 15
        assert manager.log().count("Too many open files") == 1
        assert manager.serves() < 5
        eventually(lambda: manager.descriptors() <= few - 10)


def test_without_threads_it_refuses_and_goes_on(tmp_path: Path) -> None:
    """Fault 23, row 8: the standard library's server is deaf from then on."""
    with group_of(1000) as group, besieged(tmp_path) as manager:
        join(group, manager.process.pid)
        allow(group, count(group) + 5)
        with crowd(strangers(manager, 100)):
            assert manager.serves() < 15
        assert manager.log().count("can't start new thread") == 1
        assert manager.serves() < 5


def test_a_thousand_idle_connections_cost_little_memory_and_no_time(tmp_path: Path) -> None:
    """Fault 20; how long a call takes beside them is measured by `python -m benchmarks.connections`."""
    with many_descriptors(2000), besieged(tmp_path) as manager, ExitStack() as stack:
        manager.serves()
        before = manager.resident()
        for _ in range(1000):
            stack.callback(manager.known().close)
        assert (manager.resident() - before) / 1000 < 40 << 10
        assert manager.cpu_share(2) < 0.02
        assert manager.serves() < 5
        stack.close()
        eventually(lambda: manager.threads() < 20)


def test_silent_and_trickling_connections_hold_up_nobody(tmp_path: Path) -> None:
    """Fault 21: and all are closed by the deadline of a handshake."""
    with many_descriptors(3000), besieged(tmp_path) as manager:
        begun = time.monotonic()
        sockets = strangers(manager, 2000)
        with crowd(sockets):
            assert len(sockets) == 2000
            times = []
            for _ in range(20):
                for sock in random.sample(sockets, 50):
                    with suppress(OSError):
                        sock.send(b"\0")
                times.append(manager.serves())
            assert sorted(times)[10] < 1
            assert ended(sockets, HANDSHAKE_DEADLINE + 5) == 2000
            assert time.monotonic() - begun < HANDSHAKE_DEADLINE + 20
        eventually(lambda: manager.threads() < 20)


GREETINGS: Final = {
    "a browser": b"GET / HTTP/1.1\r\nHost: localhost:8090\r\n\r\n",
    "TLS": bytes.fromhex("16030100f8010000f40303") + bytes(240),
    "SSH": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    "a pickle": b"cposix\nsystem\n(S'id'\ntR.",
    "the standard library of 3.11": framed(b"#CHALLENGE#" + bytes(20)),
    "the standard library of 3.12": framed(b"#CHALLENGE#{sha256}" + bytes(40)),
    "its answer": framed(b"{sha256}" + bytes(32)),
    "nothing": b"",
    "a length": b"\xff\xff\xff\xff",
}


@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
def test_other_protocols_get_the_challenge_and_nothing_else(strong: Besieged, greeting: bytes) -> None:
    """Fault 25."""
    with strong.stranger() as sock:
        sock.sendall(greeting)
        sock.shutdown(socket.SHUT_WR)
        assert len(_said(sock)) == CHALLENGE
    assert strong.serves() < 5


def test_ten_thousand_blobs_of_garbage_leave_nothing_behind(strong: Besieged) -> None:
    """Fault 25: no word, no thread, no descriptor, no memory, and few lines in the log."""
    strong.serves()
    descriptors, threads, resident = strong.descriptors(), strong.threads(), strong.resident()
    lines = strong.log().count("\n")
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for number in range(5 * TIMES):
        with many_descriptors(3000), crowd(sockets := strangers(strong, 2000)):
            for sock in sockets:
                with suppress(OSError):  # it had to go already
                    sock.sendall(_blob(chance))
                    sock.shutdown(socket.SHUT_WR)
            said = {len(_said(sock)) for sock in sockets}
            assert said <= {0, CHALLENGE}, f"seed {seed}, round {number}"
    assert strong.serves() < 5
    eventually(lambda: strong.threads() <= threads + 2 and strong.descriptors() <= descriptors + 2)
    assert strong.resident() - resident < 32 << 20
    assert strong.log().count("\n") - lines < 50


def _blob(chance: random.Random) -> bytes:
    """Random bytes, bare or in a frame, of the sizes that matter: sometimes those of an answer."""
    data = chance.randbytes(chance.choice((0, 1, 3, 4, 5, 63, 64, 65, 500, 5000)))
    return framed(data) if chance.random() < 0.5 else data


def _said(sock: socket.socket) -> bytes:
    """All that comes until the other end closes."""
    data = b""
    with suppress(ConnectionError):
        while chunk := sock.recv(4096):
            data += chunk
    return data


@pytest.mark.parametrize("pieces", ["whole", "held"])
def test_large_frames_of_many_clients_in_little_memory_are_refused_or_answered(
    tmp_path: Path, pieces: str
) -> None:
    """Fault 24: 64 clients with frames of 4 MiB, of which the last byte may be long in coming."""
    frame = framed(
        encode(Request(1, "queue", "get", encode([["x" * 64] * 1000]).ljust(FRAME_MAX - 100, b"\xc0")))
    )
    with besieged(tmp_path, f"ulimit -v {600 * 1024}") as manager, ExitStack() as stack:
        known = []
        for _ in range(64):
            with suppress(Exception):  # refused: there is no memory for another thread
                known.append(manager.known())
                stack.callback(known[-1].close)
        assert known
        cut = len(frame) if pieces == "whole" else len(frame) - 1
        senders = [Thread(target=_push, args=(one, frame[:cut])) for one in known]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(60)
            assert not sender.is_alive()
        assert manager.process.poll() is None, manager.log()
        for one in known:
            _push(one, frame[cut:])
        stack.close()
        assert manager.serves() < 15
        assert "Exception in thread" not in manager.log()


def test_an_interrupted_call_on_a_shared_connection_never_gives_another_calls_answer(
    strong: Besieged,
) -> None:
    """Fault 17: 10,000 calls of one thread, interrupted at random points, beside three other threads."""
    interrupts, calls, wrong = _disturbed(strong, "interrupt", 10_000 * TIMES)
    assert wrong == 0
    assert interrupts > 100 and calls > 1000, "else this test shows nothing"


def test_both_sides_of_200_forks_get_their_own_answers(strong: Besieged) -> None:
    """Fault 18: forks while other threads are in the middle of calls."""
    failed, calls, wrong = _disturbed(strong, "fork", 200 * TIMES)
    assert (failed, wrong) == (0, 0)
    assert calls > 1000, "else this test shows nothing"


def _disturbed(manager: Besieged, how: str, times: int) -> list[int]:
    command = [sys.executable, "-m", "tests.live.disturbed", how, str(manager.address.port)]
    command += [str(manager.home / "authkey"), str(times)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110 * TIMES)
    assert ran.returncode == 0, ran.stderr
    return [int(word) for word in ran.stdout.split()]


def _push(connection: Connection, data: bytes) -> None:
    with suppress(OSError):
        connection.sock.settimeout(30)
        connection.sock.sendall(data)


@pytest.fixture(scope="module")
def strong(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    """A manager without limits."""
    with besieged(tmp_path_factory.mktemp("strong")) as manager:
        yield manager
