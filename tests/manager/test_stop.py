"""The end of a manager: what is under way is answered, all else is closed, and nothing is left over."""

from __future__ import annotations

import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest

from qm.errors import Draining, Unreachable
from qm.manager import Server
from qm.manager import server as server_module
from qm.messages import Claim, Slot, TypeOptions, WorkerInfo
from qm.wire.codec import encode
from qm.wire.remote import Channels, Remote
from tests.manager.serving import Echo, ask, echo_server, managed
from tests.manager.takers import Takers
from tests.manager.test_calls import task
from tests.wire.peers import KEY, PATIENCE, Peer


class Running:
    """A server in a thread that the test stops itself."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.thread = Thread(target=server.serve_forever)
        self.thread.start()

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "serve_forever did not return"


def served(running: Running) -> Peer:
    """A peer that has had an answer: the server too is done with its handshake."""
    peer = Peer.known(running.server.address)
    peer.ask(0, "echo", "echo", encode(["x"]))
    peer.read()
    return peer


@pytest.fixture
def running(echo: Echo) -> Running:
    return Running(echo_server(echo))


def test_a_call_under_way_is_answered(running: Running, echo: Echo) -> None:
    """Row 26: the standard library's is cut off in the middle."""
    channels = Channels(running.server.address, KEY)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(ask, channels, "hold", "the answer")
        assert echo.begun.get(timeout=PATIENCE) == "the answer"
        running.server.stop()
        echo.let_go.set()
        assert answer.result() == "the answer"
    running.stop()
    channels.close()


def test_serve_forever_returns_when_all_calls_are_answered(running: Running, echo: Echo) -> None:
    """Row 26: it returns, and does not raise SystemExit; and not before the answer is out."""
    with Peer.known(running.server.address) as peer:
        peer.ask(1, "echo", "hold", encode(["x"]))
        echo.begun.get(timeout=PATIENCE)
        running.server.stop()
        running.thread.join(0.05)
        assert running.thread.is_alive(), "the call is still under way"
        echo.let_go.set()
        running.thread.join(PATIENCE)
        assert not running.thread.is_alive()
        assert peer.read() == b"\x93\x01\xc3\xc4\x02\xa1x"
        assert peer.read_to_end() == b""


def test_the_port_is_free_at_once(running: Running) -> None:
    """Row 26: the standard library never closes its listener."""
    address = running.server.address
    with Peer.known(address):  # also with connections that were open a moment ago
        running.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5)
        again = Running(echo_server(Echo(), address))
        with Peer.known(address):
            again.stop()


def test_an_idle_connection_sees_an_orderly_end(running: Running) -> None:
    """Row 26."""
    with served(running) as peer:
        running.stop()
        assert peer.sock.recv(1) == b""


def test_a_busy_connection_ends_between_two_calls(running: Running) -> None:
    """Row 26: one that never pauses cannot hold up the end."""
    channels = Channels(running.server.address, KEY)
    calls = 0

    def busy() -> None:
        nonlocal calls
        while True:
            ask(channels, "echo", "again")
            calls += 1

    with ThreadPoolExecutor() as pool:
        work = pool.submit(busy)
        ask(channels, "echo", "it runs")
        running.stop()
        assert isinstance(work.exception(PATIENCE), Unreachable)
    channels.close()


def test_a_call_that_takes_too_long_is_cut_off(
    running: Running, echo: Echo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 26: the end is bounded, and what it cost is in the log."""
    monkeypatch.setattr(server_module, "DRAIN_SECONDS", 0.05)
    with Peer.known(running.server.address) as peer:
        peer.ask(1, "echo", "hold", encode(["x"]))
        echo.begun.get(timeout=PATIENCE)
        running.stop()
        assert peer.read_to_end() == b""
    assert any("was not answered" in r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING)


def test_parked_calls_end_at_once(running: Running, echo: Echo) -> None:
    """Row 26: also those that would wait for a long time, and they are answered."""
    with Peer.known(running.server.address) as peer:
        peer.ask(1, "echo", "park", encode(["x", 30.0]))
        echo.begun.get(timeout=PATIENCE)
        begun = time.monotonic()
        running.stop()
        assert time.monotonic() - begun < 5
        assert b"x woken=True" in peer.read()


def test_stopping_twice_or_before_the_start_is_fine(echo: Echo) -> None:
    server = echo_server(echo)
    server.stop()
    server.stop()
    server.serve_forever()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.address, timeout=5)


def test_no_connection_is_left(running: Running) -> None:
    with served(running) as known, Peer.at(running.server.address) as unknown:
        unknown.read()
        lives = list(running.server._proved.values())
        assert lives
        running.stop()
        assert known.read_to_end() == b""
        assert all(over.is_set() for over in lives)


def test_a_draining_queue_ends_the_waits_and_says_so_to_adds() -> None:
    """Row 26, with the whole manager: takes and gets are answered with nothing, adds with `Draining`."""
    with managed() as manager, ThreadPoolExecutor() as pool:
        remote = Remote(manager.address, KEY)
        queue = remote.queue()
        queue.attach(WorkerInfo(session="s", host="h", pid=1, processes=1, types={"t": TypeOptions()}))
        queue.add([task("a", type_="other")])
        takers = Takers(manager)
        claim = Claim(slot=Slot("s", 0, 0), call=1, holding=[], types=["t"])
        take = pool.submit(queue.take, claim, 30)
        takers.parked()
        get = pool.submit(queue.get, ["a"], 30)
        renew = pool.submit(queue.renew, "s", 30)
        manager.queue.drain()
        assert take.result(PATIENCE) == []
        assert [t.id for t in get.result(PATIENCE).tasks] == ["a"]
        assert not renew.result(PATIENCE).drain
        with pytest.raises(Draining):
            queue.add([task("b")])
        remote.close()
