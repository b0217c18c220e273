"""Who shares a connection with whom: calls that do not wait with each other, calls that wait with nobody."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType, TracebackType
from typing import Any

import pytest

from qm.client import Client, new_task
from qm.errors import Unreachable
from qm.limits import FRAME_MAX
from qm.manager import Server
from qm.testing import RunningManager
from qm.wire.address import Address
from qm.wire.frames import Connection
from qm.wire.remote import Channels, dial
from tests.client.wire import Wire
from tests.manager.serving import Echo, ask, echo_server, serving
from tests.queue.bench import PATIENCE, Call
from tests.wire.peers import KEY


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
def dialled() -> list[Connection]:
    """All connections that were made."""
    return []


@pytest.fixture
def channels(server: Server, dialled: list[Connection]) -> Iterator[Channels]:
    def note(address: Any, authkey: bytes) -> Connection:
        dialled.append(dial(address, authkey))
        return dialled[-1]

    channels = Channels(server.address, KEY, note)
    yield channels
    channels.close()


def test_calls_of_many_threads_share_one_connection(channels: Channels, dialled: list[Connection]) -> None:
    go = threading.Barrier(16)

    def work(name: int) -> None:
        go.wait(PATIENCE)
        for n in range(50):
            assert ask(channels, "echo", f"{name}-{n}") == f"{name}-{n}"

    for call in [Call(work, name) for name in range(16)]:
        call.answer()
    assert len(dialled) == 1


def test_a_call_that_waits_holds_up_no_other(
    channels: Channels, echo: Echo, dialled: list[Connection]
) -> None:
    ask(channels, "echo", "first")
    parked = Call(ask, channels, "hold", "parked", waits=True)
    assert echo.begun.get(timeout=PATIENCE) == "parked"
    for n in range(10):
        assert ask(channels, "echo", str(n)) == str(n)
    assert parked.is_alive()
    echo.let_go.set()
    assert parked.answer() == "parked"
    assert len(dialled) == 2


def test_a_thread_alone_needs_one_connection_for_all_its_calls(
    channels: Channels, dialled: list[Connection]
) -> None:
    """A worker's child waits for tasks, and says other things in between."""
    for n in range(10):
        assert ask(channels, "park", str(n), 0.001, waits=True) == f"{n} woken=False gone=False"
        assert ask(channels, "echo", str(n)) == str(n)
    assert len(dialled) == 1


def test_a_call_in_the_middle_of_a_call_of_the_same_thread_is_answered(
    channels: Channels, echo: Echo
) -> None:
    """As a signal handler's: on the shared connection it would wait for the thread that it interrupts."""
    main, inner = threading.get_ident(), []

    def call_and_let_go(number: int, frame: FrameType | None) -> None:
        inner.append(ask(channels, "echo", "inner"))
        echo.let_go.set()

    def disturb() -> None:
        assert echo.begun.get(timeout=PATIENCE) == "outer"
        signal.pthread_kill(main, signal.SIGUSR1)
        while not echo.let_go.wait(0.01):
            signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, call_and_let_go)
    disturber = Call(disturb)
    try:
        assert ask(channels, "hold", "outer") == "outer"
        disturber.answer()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert set(inner) == {"inner"}
    assert ask(channels, "echo", "after") == "after"


def test_large_questions_and_answers_pass_each_other(channels: Channels) -> None:
    """Who is sending does not keep others from reading: else client and manager each wait for the other."""
    size = FRAME_MAX - 1000

    def send() -> None:
        for _ in range(5):
            assert ask(channels, "echo", "x" * size) == "x" * size

    def receive() -> None:
        for _ in range(10):
            assert len(ask(channels, "many", size)) == size

    for call in [Call(work) for work in (send, receive, send, receive)]:
        call.join(3 * PATIENCE)
        call.answer()


class NotedLock:
    """Says who comes for it, before they wait."""

    def __init__(self, lock: Any, coming: threading.Semaphore) -> None:
        self._lock = lock
        self._coming = coming

    def __enter__(self) -> None:
        self._coming.release()
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


def test_threads_that_want_a_connection_dial_once_and_share_its_failure() -> None:
    """Not one after another, each for as long as a manager that is away can make it wait."""
    tried: list[Any] = []
    fail = threading.Event()

    def away(address: Any, authkey: bytes) -> Connection:
        tried.append(address)
        assert fail.wait(PATIENCE)
        raise Unreachable("nobody there", hint="start one")

    channels, coming = Channels(Address("host", 8090), KEY, away), threading.Semaphore(0)
    channels._dialling = NotedLock(channels._dialling, coming)  # type: ignore[assignment]
    calls = [Call(ask, channels, "echo", "x") for _ in range(8)]
    for _ in calls:
        assert coming.acquire(timeout=PATIENCE)
    fail.set()
    for call in calls:
        with pytest.raises(Unreachable, match="nobody there") as caught:
            call.answer()
        assert caught.value.hint == "start one"
    assert len(tried) == 1
    with pytest.raises(Unreachable):
        ask(channels, "echo", "later")
    assert len(tried) == 2, "who comes later tries anew"


def test_no_thread_gets_anothers_answer_while_connections_break(manager: RunningManager, wire: Wire) -> None:
    """Eight threads, all kinds of verbs, through a connection that is cut again and again."""
    with Client(wire.address, manager.authkey, patience=30) as client:

        def work(name: int) -> list[str]:
            draw, ids = random.Random(name), []
            for n in range(60):
                id_ = f"{name}-{n}"
                if draw.random() < 0.1:
                    wire.lose_answers()
                assert client.add("mail", [name, n], id=id_) == id_
                ids.append(id_)
                choice = draw.randrange(5)
                if choice == 0:
                    assert client.get(id_).input == [name, n]
                elif choice == 1:
                    assert client.get_many([id_, ids[0]], wait=0.001)[0].id == id_
                elif choice == 2:
                    assert client.add_many([new_task("mail", n, id=f"{id_}-more")]) == [f"{id_}-more"]
                    ids.append(f"{id_}-more")
                elif choice == 3:
                    client.cancel(id_)
                    assert client.get(id_).state == "cancelled"
                else:
                    assert client.status().wait > 0
            return ids

        with ThreadPoolExecutor(8) as pool:
            added = [id_ for ids in pool.map(work, range(8)) for id_ in ids]
    assert wire.lost >= 10, "else this test shows nothing"
    counts = manager.queue.status()
    assert counts.wait + counts.done == len(set(added)) == len(added)
