"""Callers that hang up while their call waits are noticed at once, and get no task."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue

import pytest

from qm.manager import Server
from qm.manager.watcher import WatchedCaller, Watcher
from qm.messages import Claim, Slot, TypeOptions, WorkerInfo
from qm.queue.waiter import Waiter
from qm.queue.wake import Parked, Watch
from qm.wire.codec import decode_reply, encode
from qm.wire.remote import Remote
from qm.wire.verbs import QUEUE, QueueVerbs
from tests.manager.serving import Echo, Managed
from tests.manager.takers import Takers
from tests.manager.test_calls import task
from tests.wire.peers import KEY, PATIENCE, Peer


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    watcher = Watcher()
    watcher.start()
    yield watcher
    watcher.stop()


def test_a_caller_that_hangs_up_wakes_its_call(server: Server, echo: Echo) -> None:
    """Row 24."""
    with Peer.known(server.address) as peer:
        peer.ask(1, "echo", "park", encode(["one", 30.0]))
        assert echo.begun.get(timeout=PATIENCE) == "one"
    assert echo.gone.get(timeout=PATIENCE) == "one"


def test_a_caller_that_is_killed_wakes_its_call(server: Server, echo: Echo) -> None:
    """Row 24: also by a reset, as the kernel of a crashed process sends it."""
    peer = Peer.known(server.address)
    peer.ask(1, "echo", "park", encode(["one", 30.0]))
    echo.begun.get(timeout=PATIENCE)
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.sock.close()
    assert echo.gone.get(timeout=PATIENCE) == "one"


def test_a_caller_that_hung_up_before_its_call_parked_is_noticed_too(watcher: Watcher) -> None:
    """Row 24: there is no moment between looking and sleeping."""
    ours, theirs = socket.socketpair()
    theirs.close()
    waiter = Waiter()
    with ours, watcher.watching(ours.fileno(), waiter):
        assert waiter.sleep(PATIENCE)
    assert waiter.gone


def test_only_the_call_of_that_caller_is_woken(server: Server, echo: Echo) -> None:
    """Row 24."""
    with Peer.known(server.address) as stays, Peer.known(server.address) as goes:
        stays.ask(1, "echo", "park", encode(["stays", 0.2]))
        goes.ask(1, "echo", "park", encode(["goes", 30.0]))
        assert {echo.begun.get(timeout=PATIENCE) for _ in range(2)} == {"stays", "goes"}
        goes.sock.close()
        assert echo.gone.get(timeout=PATIENCE) == "goes"
        assert b"stays woken=False gone=False" in stays.read()
    with pytest.raises(Empty):
        echo.gone.get_nowait()


def test_a_caller_that_says_its_next_call_early_is_still_there(server: Server, echo: Echo) -> None:
    """Row 24: bytes that wait to be read are no hang-up, and do not wake a parked call."""
    with Peer.known(server.address) as peer:
        peer.ask(1, "echo", "park", encode(["one", 0.05]))
        peer.ask(2, "echo", "echo", encode(["two"]))
        assert b"one woken=False gone=False" in peer.read()
        assert b"two" in peer.read()


def test_a_connection_can_park_again_and_again(server: Server, echo: Echo) -> None:
    """Row 24: the second wait is watched as well as the first."""
    with Peer.known(server.address) as peer:
        for rid in range(20):
            peer.ask(rid, "echo", "park", encode([str(rid), 0.0]))
            assert f"{rid} woken=False gone=False".encode() in peer.read()
        peer.ask(99, "echo", "park", encode(["last", 30.0]))
    assert echo.gone.get(timeout=PATIENCE) == "last"


def test_nothing_is_kept_of_a_call_that_is_over(watcher: Watcher) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(10):
            with WatchedCaller(watcher, ours.fileno()).watched(Waiter()):
                pass
        assert watcher._parked == {}
        with pytest.raises(ZeroDivisionError), watcher.watching(ours.fileno(), Waiter()):
            raise ZeroDivisionError
        assert watcher._parked == {}


def test_a_stopped_watcher_leaves_no_thread_and_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        watcher = Watcher()
        watcher.start()
        watcher.stop()
        assert not watcher.is_alive()
    assert len(os.listdir("/proc/self/fd")) == before


# With the whole queue: who gets the task.


@pytest.fixture
def queue(manager: Managed) -> Iterator[QueueVerbs]:
    remote = Remote(manager.address, KEY)
    info = WorkerInfo(session="s", host="here", pid=1, processes=1, types={"t": TypeOptions()})
    remote.queue().attach(info)
    yield remote.queue()
    remote.close()


def park(peer: Peer, index: int, wait: float = 30.0) -> None:
    claim = Claim(slot=Slot("s", index, 0), call=1, holding=[], types=["t"])
    peer.ask(index, "queue", "take", encode([claim, wait]))


def taken(peer: Peer) -> list[str]:
    reply = decode_reply(memoryview(peer.read()))
    assert reply.ok, reply.body
    return [t.id for t in QUEUE["take"].decode_answer(reply.body)]


def test_a_task_goes_to_who_is_there_and_not_to_who_hung_up(manager: Managed, queue: QueueVerbs) -> None:
    """Row 24."""
    takers = Takers(manager)
    with Peer.known(manager.address) as stays:
        with Peer.known(manager.address) as goes:
            park(goes, 0)
            first = takers.parked()
            park(stays, 1)
            takers.parked()
        assert takers.left() is first
        queue.add([task("a")])
        assert taken(stays) == ["a"]
    assert queue.get(["a"]).tasks[0].attempt == 1, "nobody else had it before"


def test_the_wake_of_one_that_hung_up_is_passed_on(manager: Managed, queue: QueueVerbs) -> None:
    """Row 24: the add woke the first in line, whose caller was gone by then: the second gets the task."""
    takers = Takers(manager)

    def add_now(parked: Parked) -> None:
        assert parked.waiter.gone
        queue.add([task("a")])
        assert parked.woken_for == "t", "it was still the first in line"

    with Peer.known(manager.address) as stays:
        with Peer.known(manager.address) as goes:
            park(goes, 0)
            takers.before_leaving(takers.parked(), add_now)
            park(stays, 1)
            takers.parked()
        assert taken(stays) == ["a"]


def test_a_task_that_nobody_waits_for_any_more_stays(manager: Managed, queue: QueueVerbs) -> None:
    """Row 24."""
    takers = Takers(manager)
    with Peer.known(manager.address) as goes:
        park(goes, 0)
        takers.parked()
    takers.left()
    queue.add([task("a")])
    assert queue.get(["a"]).tasks[0].state == "waiting"


def test_a_get_whose_caller_hung_up_ends(manager: Managed, queue: QueueVerbs) -> None:
    """Row 24: else its thread would stay for the rest of its wait."""
    left: SimpleQueue[Watch] = SimpleQueue()
    endings = manager.queue.core.endings
    leave = endings.leave

    def noted(watch: Watch, ids: Iterable[str]) -> None:
        leave(watch, ids)
        left.put(watch)

    endings.leave = noted  # type: ignore[method-assign]
    queue.add([task("a")])
    with Peer.known(manager.address) as goes:
        goes.ask(1, "queue", "get", encode([["a"], 30.0]))
    assert left.get(timeout=PATIENCE).waiter.gone
