"""The server's end of a port: every address of a name, and an accept that ends when told to."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any

import pytest

from qm.wire import listener as listener_module
from qm.wire.address import Address, connect
from qm.wire.listener import Listener
from tests.wire.peers import PATIENCE

#: A name's addresses, as the resolver gives them: for each kind of socket, and one of them twice.
BOTH = [
    (socket.AF_INET6, ("::1", 0, 0, 0)),
    (socket.AF_INET, ("127.0.0.1", 0)),
    (socket.AF_INET, ("127.0.0.1", 0)),
]


def resolving(monkeypatch: pytest.MonkeyPatch, places: Sequence[tuple[int, Any]]) -> None:
    """From now on every name has these addresses."""

    def resolve(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        return [(family, socket.SOCK_STREAM, 6, "", (place[0], port, *place[2:])) for family, place in places]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def reached(listener: Listener, host: str) -> str:
    """Connects to `host` and gives who the listener says has come."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        sock.settimeout(PATIENCE)
        sock.connect((host, listener.address.port))
        accepted = listener.accept()
        accepted.close()
        assert accepted.peer == str(Address(*sock.getsockname()[:2]))
        return accepted.peer


def test_a_name_of_both_families_is_reached_by_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 23: with one port, also where it is a free one."""
    resolving(monkeypatch, BOTH)
    listener = Listener(("both.example", 0))
    monkeypatch.undo()
    assert listener.address.host == "both.example" and listener.address.port > 0
    assert reached(listener, "127.0.0.1").startswith("127.0.0.1:")
    assert reached(listener, "::1").startswith("[::1]:")
    listener.close()


def test_a_client_tries_all_addresses_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 23: a manager may serve only one of them."""
    listener = Listener(("127.0.0.1", 0))
    resolving(monkeypatch, BOTH)
    connect(Address("both.example", listener.address.port), PATIENCE).close()
    listener.close()


def test_an_address_that_is_not_here_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name has an IPv6 address where IPv6 is off."""
    resolving(monkeypatch, [(socket.AF_INET6, ("2001:db8::1", 0, 0, 0)), *BOTH[1:]])
    listener = Listener(("both.example", 0))
    monkeypatch.undo()
    reached(listener, "127.0.0.1")
    listener.close()


def test_a_name_of_nothing_here_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, [(socket.AF_INET, ("192.0.2.1", 0))])
    with pytest.raises(OSError) as caught:
        Listener(("far.example", 0))
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_a_port_that_is_taken_at_one_address_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one client would talk to us, and another to somebody else."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        resolving(monkeypatch, BOTH)
        with pytest.raises(OSError) as caught:
            Listener(("both.example", port))
        assert caught.value.errno == errno.EADDRINUSE
        monkeypatch.undo()
        Listener(("::1", port)).close()  # and nothing of the attempt is left


def test_a_free_port_is_sought_until_it_is_free_at_all_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    create = socket.create_server
    refused: list[int] = []

    def crowded(place: Any, **options: Any) -> socket.socket:
        if place[1] != 0 and len(refused) < 3:
            refused.append(place[1])
            raise OSError(errno.EADDRINUSE, "Address already in use")
        return create(place, **options)

    resolving(monkeypatch, BOTH)
    monkeypatch.setattr(socket, "create_server", crowded)
    listener = Listener(("both.example", 0))
    assert len(refused) == 3
    listener.close()


def ending(act: Callable[[Listener], object]) -> None:
    """An accept that waits while its listener is closed must end by an error."""
    listener = Listener(("127.0.0.1", 0))
    caught: list[OSError] = []

    def accept() -> None:
        act(listener)
        try:
            listener.accept()
        except OSError as error:
            caught.append(error)

    thread = Thread(target=accept)
    thread.start()
    listener.close()
    thread.join(PATIENCE)
    assert [error.errno for error in caught] == [errno.EBADF]


def test_an_accept_that_waits_ends_when_the_listener_is_closed() -> None:
    ending(lambda listener: None)


def test_an_accept_after_the_close_ends_although_its_descriptor_is_anothers() -> None:
    listener = Listener(("127.0.0.1", 0))
    numbers = set(listener._sockets)
    listener.close()
    with socket.socket() as first, socket.socket() as second:
        assert numbers & {first.fileno(), second.fileno()}, "the numbers are not used again here"
        with pytest.raises(OSError, match="closed"):
            listener.accept()


def test_one_that_is_gone_before_it_is_accepted_does_not_hold_up_the_next() -> None:
    listener = Listener(("127.0.0.1", 0))
    socket.create_connection(listener.address).close()
    listener.accept().close()
    reached(listener, "127.0.0.1")
    listener.close()


def test_one_that_cannot_be_tuned_is_lost_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(("127.0.0.1", 0))

    def fail(sock: socket.socket) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(listener_module, "tune", fail)
    with socket.create_connection(listener.address) as sock:
        with pytest.raises(ConnectionAbortedError):
            listener.accept()
        sock.settimeout(PATIENCE)
        assert sock.recv(1) == b""
    monkeypatch.undo()
    reached(listener, "127.0.0.1")
    listener.close()
