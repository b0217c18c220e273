"""A client's connections: few, in step, bounded in time, and mended, whatever interrupts or forks."""

from __future__ import annotations

import errno
import gc
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any, cast

import pytest

from qm.client import Client
from qm.errors import NotFound, TimedOut, Unreachable
from qm.manager import Server
from qm.wire.address import Address
from qm.wire.codec import Reply, encode
from qm.wire.frames import Connection
from qm.wire.remote import Channels, Remote, dial
from qm.wire.verbs import QueueVerbs
from tests.manager.serving import Echo, Managed, ask, echo_server, managed, serving
from tests.wire.peers import KEY, PATIENCE, Peer, rogue

ROOT = Path(__file__).parents[2]


@pytest.fixture
def manager() -> Iterator[Managed]:
    with managed() as manager:
        yield manager


@pytest.fixture
def remote(manager: Managed) -> Iterator[Remote]:
    remote = Remote(manager.address, KEY)
    yield remote
    remote.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.let_go.set()


@pytest.fixture
def server(echo: Echo) -> Iterator[Server]:
    with serving(echo_server(echo)) as server:
        yield server


@pytest.fixture
def channels(server: Server) -> Iterator[Dialler]:
    dialler = Dialler(server.address)
    yield dialler
    dialler.close()


class Dialler(Channels):
    """Channels that keep all that they ever dialled."""

    def __init__(self, address: Address) -> None:
        self.dialled: list[Connection] = []
        super().__init__(address, KEY, self.note)

    def note(self, address: Any, authkey: bytes) -> Connection:
        connection = dial(address, authkey)
        self.dialled.append(connection)
        return connection


class Broken:
    """A socket on which something happens instead of an answer."""

    def __init__(self, error: BaseException) -> None:
        self._error = error
        self.closed = False

    def channels(self) -> Channels:
        """Channels that dial nothing else."""
        return Channels(Address("host", 8090), KEY, lambda *_: Connection(cast(socket.socket, self)))

    def dup(self) -> Broken:
        return self

    def gettimeout(self) -> float:
        return 5.0

    def settimeout(self, seconds: float) -> None:
        """As it likes."""

    def sendall(self, data: bytes) -> None:
        """It goes out well."""

    def recv(self, size: int) -> bytes:
        raise self._error

    def shutdown(self, how: int) -> None:
        """Nobody else is on it."""

    def close(self) -> None:
        self.closed = True


def missing(queue: QueueVerbs, id_: str) -> None:
    """A call whose right answer no other call has."""
    assert queue.get([id_]).missing == [id_]


# How many.


def test_all_proxies_of_a_process_share_one_connection(manager: Managed, remote: Remote) -> None:
    """Row 17: the standard library dials three times for each proxy, and once more for each thread."""
    remote.connect()
    for _ in range(20):
        for view in (remote.wait(), remote.progress(), remote.done()):
            assert view.count() == 0
        missing(remote.queue(), "a")
    assert manager.server.tally.accepted == 1


def test_threads_share_what_is_idle(channels: Dialler) -> None:
    """Row 17."""
    for n in range(20):
        thread = threading.Thread(target=ask, args=(channels, "echo", str(n)))
        thread.start()
        thread.join()
    assert len(channels.dialled) == 1


def test_after_a_rush_only_a_few_connections_stay(channels: Dialler, echo: Echo) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(ask, channels, "hold", str(n), waits=True) for n in range(20)]
        for _ in answers:
            echo.begun.get(timeout=PATIENCE)
        echo.let_go.set()
        assert [answer.result() for answer in answers] == [str(n) for n in range(20)]
    assert len(channels.dialled) == 20
    assert len([c for c in channels.dialled if c.fileno() != -1]) == len(channels._idle) == 8


def test_both_ends_of_a_connection_are_tuned(server: Server, channels: Dialler) -> None:
    """Row 22."""
    ask(channels, "echo", "x")
    (ours,), (theirs,) = channels.dialled, server._proved
    for sock in (ours.sock, theirs.sock):
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000


#: Uses each proxy, and ends after the manager is gone.
LAST_WORDS = """
import sys
from qm.wire.remote import Remote
from tests.wire.peers import KEY
remote = Remote(("127.0.0.1", int(sys.argv[1])), KEY)
proxies = [remote.queue(), remote.wait(), remote.progress(), remote.done()]
print([proxy.get(["a"]).missing for proxy in proxies], flush=True)
sys.stdin.read()
"""


def test_a_client_ends_without_a_word_to_a_manager_that_is_gone() -> None:
    """Row 16: the standard library's proxies dial it at exit, to count themselves out."""
    with managed() as manager:
        client = subprocess.Popen(
            [sys.executable, "-c", LAST_WORDS, str(manager.address.port)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert client.stdout and client.stdout.readline() == f"{[['a']] * 4}\n"
    output, errors = client.communicate(timeout=PATIENCE)
    assert (client.returncode, output, errors) == (0, "", "")


# In step.


def test_a_connection_that_was_interrupted_is_used_no_more() -> None:
    """Row 19: its answer is still to come, and would be taken for the next call's."""
    for interrupt in (KeyboardInterrupt(), SystemExit(), GeneratorExit(), MemoryError()):
        broken = Broken(interrupt)
        channels = broken.channels()
        with pytest.raises(type(interrupt)):
            channels.call("echo", "echo", encode(["x"]), 5)
        assert broken.closed and not (channels._shared and channels._shared.is_open)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupted_call_never_gives_another_calls_answer(remote: Remote) -> None:
    """Row 19: KeyboardInterrupt at random points of thousands of calls."""
    queue = remote.queue()
    armed = interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    calls = interrupts = 0
    main = threading.get_ident()
    done = threading.Event()

    def disturb() -> None:
        while not done.wait(random.uniform(0, 0.001)):
            signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        while calls < 2000 or (interrupts < 100 and calls < 20_000):
            calls += 1
            id_ = f"call-{calls}"
            try:
                armed = True
                got = queue.get([id_])
                armed = False
                interrupted = False
            except KeyboardInterrupt:
                interrupted = True
            if interrupted:
                interrupts += 1
            else:
                assert got.missing == [id_]
    finally:
        armed = False
        done.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
        gc.collect()  # what an interrupt left open, here where nobody minds
    assert interrupts >= 100, "else this test shows nothing"


def test_an_answer_too_many_is_not_the_next_calls(echo: Echo) -> None:
    """Row 19: each call has a number, and an answer without the right one ends the connection."""

    def twice(peer: Peer) -> None:
        peer.admit()
        peer.read()
        for text in ("one", "again"):
            peer.send(encode(Reply(1, True, encode(text))))
        peer.read_to_end()

    with rogue(twice) as address:
        channels = Channels(address, KEY)
        assert ask(channels, "echo", "one") == "one"
        with pytest.raises(Unreachable, match="an answer to another call"):
            ask(channels, "echo", "two")
        channels.close()


def test_threads_get_each_its_own_answers(remote: Remote) -> None:
    """Row 19."""

    def work(name: int) -> None:
        for n in range(100):
            missing(remote.queue(), f"thread-{name}-{n}")

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, name) for name in range(8)]:
            done.result()


def test_an_error_that_was_answered_leaves_the_connection_in_use(channels: Dialler) -> None:
    for _ in range(5):
        with pytest.raises(NotFound):
            ask(channels, "refuse", "x")
    assert len(channels.dialled) == 1


# Bounded in time, and mended.


def test_a_call_without_an_answer_ends_at_its_deadline(channels: Dialler, echo: Echo) -> None:
    """Row 20."""
    with pytest.raises(TimedOut, match=rf"^hold: no answer from {channels.address} within 0\.05 s$"):
        ask(channels, "hold", "x", timeout=0.05)
    assert channels.dialled[0].fileno() == -1, "the answer would come to the next call"
    assert ask(channels, "echo", "next") == "next"
    echo.let_go.set()


def test_an_answer_that_only_trickles_in_ends_at_the_same_deadline() -> None:
    """Row 20: the deadline is for the whole answer."""

    def trickle(peer: Peer) -> None:
        peer.admit()
        peer.read()
        peer.sock.settimeout(0.01)
        for byte in b"\0\0\0\xff" + bytes(255):
            try:
                peer.sock.sendall(bytes([byte]))
                if peer.sock.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return

    with rogue(trickle) as address, pytest.raises(TimedOut):
        Channels(address, KEY).call("echo", "echo", encode(["x"]), 0.1)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ETIMEDOUT, "Connection timed out"),
        OSError(errno.EHOSTUNREACH, "No route to host"),
        OSError(errno.ENETUNREACH, "Network is unreachable"),
        OSError(errno.ECONNRESET, "Connection reset by peer"),
        OSError(errno.EPIPE, "Broken pipe"),
        EOFError("closed by the peer"),
    ],
    ids=repr,
)
def test_a_connection_that_the_network_ends_is_unreachable(error: Exception) -> None:
    """Row 20: also where it is the kernel that gave up a host that is gone: that is tried again."""
    broken = Broken(error)
    channels = broken.channels()
    with pytest.raises(Unreachable, match="cannot reach the manager at host:8090"):
        channels.call("echo", "echo", encode(["x"]), 5)
    assert broken.closed


def test_a_manager_that_dies_in_a_call_is_unreachable() -> None:
    """Row 20."""

    def die(peer: Peer) -> None:
        peer.admit()
        peer.read()

    with rogue(die) as address, pytest.raises(Unreachable, match="closed by the peer"):
        ask(Channels(address, KEY), "echo", "x")


def test_the_same_proxies_work_after_a_restart_on_the_same_port() -> None:
    """Rows 16 and 20: the standard library's dead connection stays, and its ids have changed."""
    with managed() as manager:
        remote = Remote(manager.address, KEY)
        queue, done = remote.queue(), remote.done()
        missing(queue, "a")
    with pytest.raises(Unreachable):
        missing(queue, "a")
    with managed(address=manager.address):
        missing(queue, "a")
        assert done.count() == 0
    remote.close()


def test_one_failure_clears_out_all_connections_of_before() -> None:
    """Row 20: not one failed call for each of them."""
    echo = Echo()
    with serving(echo_server(echo)) as server:
        channels = Dialler(server.address)
        with ThreadPoolExecutor(5) as pool:
            answers = [pool.submit(ask, channels, "hold", str(n), waits=True) for n in range(5)]
            for _ in answers:
                echo.begun.get(timeout=PATIENCE)
            echo.let_go.set()
        assert len(channels._idle) == 5
    with serving(echo_server(Echo(), server.address)):
        with pytest.raises(Unreachable):
            ask(channels, "echo", "x")
        for _ in range(10):
            assert ask(channels, "echo", "y") == "y"
        assert len(channels.dialled) == 6
        channels.close()


def test_a_client_rides_out_a_restart() -> None:
    """Row 20: with a client's patience nobody sees it."""
    with managed() as manager:
        client = Client(manager.address, KEY)
        started = client.status().started
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(client.status)  # begun while nobody is there
        with managed(address=manager.address):
            assert answer.result(PATIENCE).started > started
            assert client.status().started > started
    client.close()


# Forks.

#: Forks again and again while four threads call; parent and children check each answer.
FORK = """
import os, signal, sys, threading, warnings
from qm.wire.remote import Remote
from tests.wire.peers import KEY

warnings.simplefilter("ignore")
signal.alarm(30)
queue = Remote(("127.0.0.1", int(sys.argv[1])), KEY).queue()
stop = threading.Event()
wrong = []

def calls(name, times):
    for n in range(times):
        if queue.get([f"{name}-{n}"]).missing != [f"{name}-{n}"]:
            wrong.append(name)

def work(name):
    while not stop.is_set():
        calls(name, 10)

def child(name):
    signal.alarm(30)
    others = [threading.Thread(target=calls, args=(f"{name}-{n}", 20)) for n in range(3)]
    for other in others:
        other.start()
    calls(name, 50)
    for other in others:
        other.join()
    os._exit(1 if wrong else 0)

threads = [threading.Thread(target=work, args=(f"thread-{n}",)) for n in range(4)]
for thread in threads:
    thread.start()
children = []
for n in range(8):
    pid = os.fork()
    if pid == 0:
        child(f"child-{n}")
    children.append(pid)
    calls(f"parent-{n}", 20)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
stop.set()
for thread in threads:
    thread.join()
print(codes, wrong)
"""


def test_both_sides_of_a_fork_go_on_calling(manager: Managed) -> None:
    """Row 21: os.fork while calls run; on one connection each would read the other's answers."""
    ran = subprocess.run(
        [sys.executable, "-c", FORK, str(manager.address.port)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{[0] * 8} []\n", "")


#: Makes its first call, and names what had to be imported for it.
FIRST_CALL = """
import sys
from qm.wire.remote import Remote
from tests.wire.peers import KEY
before = set(sys.modules)
Remote(("127.0.0.1", int(sys.argv[1])), KEY).queue().get(["a"])
print(sorted(set(sys.modules) - before))
"""


def test_a_first_call_imports_nothing(manager: Managed) -> None:
    """Row 21: a child forked while another thread imports has half a module, and no thread to complete it."""
    ran = subprocess.run(
        [sys.executable, "-c", FIRST_CALL, str(manager.address.port)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


def test_a_forked_process_leaves_its_parents_connections_alone(
    channels: Dialler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 21."""
    ask(channels, "echo", "the parent's")
    (parents,) = channels.dialled
    line = channels._shared
    assert line is not None
    held = channels._lock
    pid = os.getpid()
    with held, monkeypatch.context() as child:  # held by a thread that does not exist in the child
        child.setattr(os, "getpid", lambda: pid + 1)
        assert ask(channels, "echo", "the child's") == "the child's"
        assert channels._shared is not line
        channels.close()
    assert parents.fileno() != -1
    line.retire()
    assert parents.fileno() == -1
