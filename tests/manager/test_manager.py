"""Which server a manager gives, which objects it serves, and how it may not be started."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from multiprocessing.managers import BaseManager

import pytest

from qm.errors import BadRequest
from qm.manager import QueueManager, Server
from qm.queue import Queue
from qm.store.memory import MemoryStore
from qm.wire.remote import Remote
from qm.wire.verbs import OBJECTS
from tests.manager.serving import Managed, managed
from tests.manager.test_calls import task
from tests.wire.peers import KEY


def make(address: tuple[str, int] = ("127.0.0.1", 0), key: bytes = KEY) -> QueueManager:
    return QueueManager(address, key, Queue(MemoryStore()))


def test_get_server_gives_our_server() -> None:
    """Row 28: the standard library's gives its own, whatever the class says."""
    server = make().get_server()
    server.stop()
    server.serve_forever()
    assert type(server) is Server


def test_a_manager_is_a_base_manager() -> None:
    assert issubclass(QueueManager, BaseManager) and issubclass(QueueManager, Remote)


def test_the_objects_have_fixed_ids_and_nothing_else_is_there() -> None:
    """Row 16: not the address of something in memory, which another object may have tomorrow."""
    server = make().get_server()
    server.stop()
    server.serve_forever()
    assert set(server.id_to_obj) == set(OBJECTS) == {"queue", "wait", "progress", "done"}
    for ident, (_, exposed, typeids) in server.id_to_obj.items():
        assert exposed == set(OBJECTS[ident]) and not typeids


def test_a_manager_is_not_started_in_a_child() -> None:
    """Rows 27, 28 and 32: it would outlive its parent and share its store."""
    with pytest.raises(TypeError, match=r"get_server\(\)\.serve_forever\(\)"):
        make().start()
    assert multiprocessing.active_children() == []


def test_a_manager_never_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 32: a process of many threads that forks leaves its locks to the child as they were."""

    def forbidden(*args: object) -> int:
        raise AssertionError("it forked")

    for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp"):
        monkeypatch.setattr(os, name, forbidden)
    with managed() as manager:
        remote = Remote(manager.address, KEY)
        remote.queue().add([task("a")])
        assert remote.wait().count() == 1
        remote.close()


def test_serving_leaves_signals_to_the_program() -> None:
    """Row 27: the standard library's manager ignores SIGINT, and outlives whoever is stopped by it."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with managed():
        assert [signal.getsignal(number) for number in numbers] == before
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.parametrize("key", [b"", b"short"])
def test_a_short_key_is_refused(key: bytes) -> None:
    """Row 3."""
    with pytest.raises(BadRequest, match="at least 32 bytes"):
        make(key=key)


def test_a_taken_port_is_an_error_and_not_a_second_manager(manager: Managed) -> None:
    with pytest.raises(OSError) as caught:
        make(manager.address).get_server()
    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_port_0_is_a_free_one_and_the_address_says_which(host: str) -> None:
    with managed(address=(host, 0)) as manager:
        assert manager.address[0] == host and manager.address[1] > 0
        remote = Remote(manager.address, KEY)
        remote.connect()
        remote.close()
