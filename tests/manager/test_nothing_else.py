"""Nothing but the exposed verbs of the four objects can be called, by any name and in any mode of Python."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.managers import Server as StandardServer
from pathlib import Path

import msgspec
import pytest

from qm.errors import NotAllowed
from qm.manager import Server
from qm.queue import Queue
from qm.queue.views import View
from qm.wire.codec import encode
from qm.wire.remote import Channels
from qm.wire.verbs import OBJECTS, QUEUE, VIEW
from tests.manager.serving import Echo, Managed, ask
from tests.wire.peers import KEY

#: What any holder of the key may call of the standard library's server, on objects and instead of them.
STANDARD = [*StandardServer.public, *StandardServer.fallback_mapping]

#: All that the served objects, their server and Python have.
NAMES = sorted(
    {*dir(Queue), *dir(View), *dir(Server), *QUEUE, *VIEW, *STANDARD, *dir(object)}
    | {"core", "__dict__", "__globals__", "", "add ", "Add", "ADD", "core.store", "add\0", "é", "x" * 1000}
)


@pytest.fixture
def channels(manager: Managed) -> Iterator[Channels]:
    channels = Channels(manager.address, KEY)
    yield channels
    channels.close()


@pytest.mark.parametrize("target", OBJECTS)
def test_no_name_but_the_exposed_ones_can_be_called(channels: Channels, target: str) -> None:
    """Rows 2, 12 and 14: dunders, `#GETVALUE`, what is private, and the verbs of the other objects too."""
    refused = 0
    for name in NAMES:
        if name in OBJECTS[target]:
            continue
        with pytest.raises(NotAllowed, match="there is no"):
            channels.call(target, name, encode([]), 5)
        refused += 1
    assert refused > 50
    assert msgspec.msgpack.decode(channels.call("done", "count", encode([]), 5)) == 0


@pytest.mark.parametrize(
    "target",
    [
        "",
        "0",
        "core",
        "manager",
        "server",
        "Queue",
        "queue ",
        "queue\0",
        "__class__",
        "1" * 1000,
        "7f0a1b2c3d4e",
    ],
)
def test_no_object_but_the_published_ones_can_be_called(channels: Channels, target: str) -> None:
    """Rows 12, 15 and 16: not the server itself (the standard library's id 0), and no address in memory."""
    for name in (*STANDARD, *QUEUE):
        with pytest.raises(NotAllowed, match="there is no"):
            channels.call(target, name, encode([]), 5)


@pytest.mark.parametrize("verb", STANDARD)
def test_what_the_standard_library_lets_any_peer_do_is_refused(
    manager: Managed, channels: Channels, verb: str
) -> None:
    """Rows 12 and 14: create, shutdown, debug_info and the others; the manager goes on."""
    for target in ("", "0", "queue"):
        with pytest.raises(NotAllowed):
            channels.call(target, verb, encode([None, verb]), 5)
    assert not manager.server.stop_event.is_set()


def test_the_standard_librarys_own_tables_are_empty() -> None:
    """Rows 12 and 14."""
    assert Server.public == []
    assert Server.fallback_mapping == {}


def test_an_objects_other_methods_and_attributes_stay_its_own(server: Server) -> None:
    """Row 14: also where the object has something by that name, and it is callable."""
    channels = Channels(server.address, KEY)
    for name in (*dir(Echo), "secret", "begun", "let_go"):
        if name in server.id_to_obj["echo"][1]:
            continue
        with pytest.raises(NotAllowed) as caught:
            channels.call("echo", name, encode([]), 5)
        assert "for nobody" not in str(caught.value)
    assert ask(channels, "echo", "good") == "good"
    channels.close()


def test_a_name_that_is_refused_is_not_repeated_at_length(channels: Channels) -> None:
    with pytest.raises(NotAllowed) as caught:
        channels.call("o" * 10_000, "v" * 10_000, encode([]), 5)
    assert len(str(caught.value)) < 200


#: Run with -O: so it does not use assert, which is what the standard library's check was.
OPTIMIZED = """
import threading
from qm.errors import AuthFailed, BadRequest, NotAllowed
from qm.wire.codec import encode
from qm.wire.remote import Channels, Remote
from tests.manager.serving import managed
from tests.manager.test_nothing_else import NAMES
from tests.wire.peers import KEY, OTHER_KEY, Peer
from qm.wire.verbs import OBJECTS

def must(error, call):
    try:
        call()
    except error:
        return
    raise SystemExit(f"{error.__name__} was not raised")

if __debug__:
    raise SystemExit("this is not python -O")
with managed() as manager:
    channels = Channels(manager.address, KEY)
    refused = 0
    for target in (*OBJECTS, "0", ""):
        for name in NAMES:
            if name not in OBJECTS.get(target, {}):
                must(NotAllowed, lambda: channels.call(target, name, encode([]), 5))
                refused += 1
    must(BadRequest, lambda: channels.call("queue", "get", encode([5]), 5))
    must(BadRequest, lambda: Remote(manager.address, b"short"))
    must(AuthFailed, Remote(manager.address, OTHER_KEY).connect)
    must(TypeError, Remote(manager.address, KEY).start)
    with Peer.known(manager.address) as peer:
        peer.send(b"garbage")
        if peer.read_to_end():
            raise SystemExit("garbage was answered")
    channels.close()
print(refused)
"""


def test_the_same_holds_without_assertions() -> None:
    """Row 13: `python -O` takes every assert away."""
    ran = subprocess.run(
        [sys.executable, "-O", "-c", OPTIMIZED],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 6 * 50
