"""What of the standard library's insides we stand on, so that a new Python that moves them is noticed here.

Public names are not listed: they are promised. These are not, and `qm.wire.remote`, `qm.manager.server` and
`qm.manager.manager` use them.
"""

from __future__ import annotations

import inspect
import sys
from multiprocessing import managers
from multiprocessing.managers import BaseManager, BaseProxy
from typing import Any, Final

import pytest

#: In typeshed these names do not exist, or not with these types.
m: Final[Any] = managers

SUPPORTED: Final = [(3, 11), (3, 12), (3, 13), (3, 14)]


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


def test_this_python_is_one_that_was_looked_at() -> None:
    assert sys.version_info[:2] in SUPPORTED, "read multiprocessing/managers.py of this version, then add it"


def test_serializers_are_pairs_in_a_table() -> None:
    """`listener_client[name] = (Listener, Client)`: how another wire gets in."""
    listener, client = m.listener_client["pickle"]
    assert "address" in parameters(listener) and "backlog" in parameters(listener)
    assert {"address", "authkey"} <= set(parameters(client))


def test_a_server_is_made_and_worked_as_ours_expects() -> None:
    server = m.Server
    assert parameters(server.__init__) == ["registry", "address", "authkey", "serializer"]
    assert parameters(server.accepter) == []
    assert parameters(server.handle_request) == ["conn"]
    assert parameters(server.serve_client) == ["conn"]
    assert parameters(server.serve_forever) == []


def test_a_server_takes_its_listener_from_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its constructor asks for `Listener(address=, backlog=)`; and there is a 2-tuple under id '0'."""
    asked: list[dict[str, Any]] = []

    class Listener:
        address = ("somewhere", 1)

        def __init__(self, **kwds: Any) -> None:
            asked.append(kwds)

    monkeypatch.setitem(m.listener_client, "test", (Listener, None))
    server = m.Server({}, ("127.0.0.1", 0), b"key", "test")
    assert [set(kwds) for kwds in asked] == [{"address", "backlog"}]
    assert isinstance(server.listener, Listener) and server.address == ("somewhere", 1)
    assert server.id_to_obj == {"0": (None, ())}


def test_what_a_peer_may_call_of_a_server_is_in_two_tables() -> None:
    """Ours are empty. A name that is new here is one more thing for a stranger to call, if we forget it."""
    assert set(m.Server.public) == {
        "shutdown",
        "create",
        "accept_connection",
        "get_methods",
        "debug_info",
        "number_of_objects",
        "dummy",
        "incref",
        "decref",
    }
    assert set(m.Server.fallback_mapping) == {"__str__", "__repr__", "#GETVALUE"}


def test_a_manager_keeps_what_we_read() -> None:
    manager: Any = BaseManager(("127.0.0.1", 1), b"key", serializer="pickle")
    assert manager._address == ("127.0.0.1", 1)
    assert isinstance(manager._authkey, bytes) and manager._authkey == b"key"
    assert manager._serializer == "pickle"
    assert manager._registry == {}
    assert manager._Server is m.Server


def test_registering_takes_what_we_say_and_keeps_it_per_class() -> None:
    class Own(BaseManager):
        pass

    Own.register("thing", proxytype=BaseProxy, exposed=("verb",), create_method=False)
    own: Any = Own
    assert own._registry == {"thing": (None, ("verb",), None, BaseProxy)}
    assert not hasattr(Own, "thing")
    assert BaseManager._registry == {}  # type: ignore[attr-defined]


def test_get_server_takes_no_notice_of_a_server_of_ones_own() -> None:
    """Row 28: why `QueueManager.get_server` exists. If this fails, the override can go."""
    assert "Server(self._registry" in inspect.getsource(BaseManager.get_server)


def test_a_proxy_is_made_and_called_as_ours_expects() -> None:
    assert parameters(BaseProxy.__init__)[:6] == [
        "token",
        "serializer",
        "manager",
        "authkey",
        "exposed",
        "incref",
    ]
    assert parameters(BaseProxy._callmethod) == ["methodname", "args", "kwds"]
    assert parameters(BaseProxy._after_fork) == []  # type: ignore[attr-defined]
    assert parameters(m.Token.__init__) == ["typeid", "address", "id"]


def test_a_proxy_that_counts_nothing_dials_nothing() -> None:
    """Row 16: with `incref=False` neither its making nor its end talks to the server."""
    token = m.Token("thing", ("127.0.0.1", 1), "thing")
    proxy: Any = BaseProxy(token, "pickle", authkey=b"", incref=False)
    assert not hasattr(proxy, "_close"), "its finalizer would dial the server"
    assert proxy._token is token
