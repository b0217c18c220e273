"""host:port in words, and what every socket of ours is set to."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm.errors import BadRequest
from qm.wire.address import Address, addresses_of, connect, listen, parse_address, parse_addresses
from qm.wire.listener import Listener


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("", "127.0.0.1", 8090),
        (":1234", "127.0.0.1", 1234),
        ("example.org", "example.org", 8090),
        ("example.org:1234", "example.org", 1234),
        ("10.1.2.3:0", "10.1.2.3", 0),
        ("host:65535", "host", 65535),
        ("my_host-1", "my_host-1", 8090),
        ("bücher.example:80", "bücher.example", 80),
        ("::1", "::1", 8090),
        ("[::1]", "::1", 8090),
        ("[::1]:1234", "::1", 1234),
        ("2001:db8::1:8090", "2001:db8::1:8090", 8090),
        ("[fe80::1%eth0]:1234", "fe80::1%eth0", 1234),
        ("::ffff:10.1.2.3", "::ffff:10.1.2.3", 8090),
    ],
)
def test_addresses_are_read_as_people_write_them(text: str, host: str, port: int) -> None:
    assert parse_address(text, 8090) == Address(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "host:",
        "host:port",
        "host:-1",
        "host:+80",
        "host:8_0",
        "host: 80",
        "host:80 ",
        "host:80\n",
        "host:\uff18\uff10",
        "host:65536",
        "host:123456",
        "a b:80",
        "a\0b:80",
        "a..b:80",
        ".:80",
        "x" * 64,
        "ü" * 60,
        "host/path",
        "http://host:80",
        "user@host:80",
        "1.2.3.4:5:6",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[::g]:80",
        "::g",
    ],
)
def test_what_is_no_address_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(BadRequest, match="is not an address") as caught:
        parse_address(text, 8090)
    assert caught.value.hint and "HOST:PORT" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", [("127.0.0.1", 8090)]),
        ("a:1", [("a", 1)]),
        ("a:1,b", [("a", 1), ("b", 8090)]),
        (" a:1 , b:2\t", [("a", 1), ("b", 2)]),
        ("b:2,a:1,b:2", [("b", 2), ("a", 1)]),
        ("a:8090,b:8090,[::1]:8091", [("a", 8090), ("b", 8090), ("::1", 8091)]),
        ("::1,::2", [("::1", 8090), ("::2", 8090)]),
    ],
)
def test_several_addresses_stand_between_commas(text: str, places: list[tuple[str, int]]) -> None:
    assert parse_addresses(text, 8090) == tuple(places)


@pytest.mark.parametrize("text", [",", "a:1,", ",a:1", "a:1,,b:2", "a:1, ,b:2"])
def test_a_comma_too_many_is_not_taken_for_this_machine(text: str) -> None:
    with pytest.raises(BadRequest, match="a comma with no address beside it"):
        parse_addresses(text, 8090)


def test_programs_say_addresses_as_lists_too() -> None:
    two = (Address("a", 1), Address("b", 2))
    for where in ("a:1,b:2", ["a:1", "b:2"], [("a", 1), ("b", 2)], ("a:1", "b:2"), ["a:1,b:2"], two):
        assert addresses_of(where, 8090) == two
    assert (
        addresses_of(("a", 1), 8090)
        == addresses_of(Address("a", 1), 8090)
        == addresses_of("a:1", 1)
        == two[:1]
    )
    with pytest.raises(BadRequest, match="none in it"):
        addresses_of([], 8090)


@given(st.text())
def test_any_text_is_addresses_or_a_bad_request(text: str) -> None:
    try:
        found = parse_addresses(text, 8090)
    except BadRequest:
        return
    assert found and ",".join(map(str, found)).count(",") == len(found) - 1


@given(st.text())
def test_any_text_is_an_address_or_a_bad_request(text: str) -> None:
    try:
        address = parse_address(text, 8090)
    except BadRequest:
        return
    assert address.host and 0 <= address.port <= 65535


@given(st.ip_addresses(), st.integers(0, 65535))
def test_an_address_that_is_shown_can_be_read_again(ip: object, port: int) -> None:
    address = Address(str(ip), port)
    assert parse_address(str(address), 8090) == address


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_alone_is_loopback(host: str) -> None:
    assert Address(host, 1).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", ""])
def test_what_others_can_reach_is_not_loopback(host: str) -> None:
    assert not Address(host, 1).is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_both_ends_are_tuned_over_ipv4_and_ipv6(host: str) -> None:
    """Row 22: no delay for short messages, and no eternal wait for a host that is gone. Row 23: IPv6."""
    listener = Listener((host, 0))
    with connect(listener.address, 5) as ours:
        accepted = listener.accept()
        for sock in (ours, accepted.sock):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 5
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
            timeout = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16)
            assert struct.unpack("ll", timeout) == (30, 0)
        assert accepted.peer == str(Address(*ours.getsockname()[:2]))
        accepted.close()
    listener.close()


def test_a_fleet_that_comes_back_at_once_finds_room() -> None:
    """Row 10: with a backlog of 16, 23 of 40 had to wait for a second."""
    with listen(Address("127.0.0.1", 0)) as server:
        fleet = [socket.create_connection(server.getsockname(), timeout=5) for _ in range(100)]
        for sock in fleet:
            sock.close()


def test_a_closed_listener_ends_its_accept() -> None:
    listener = Listener(("127.0.0.1", 0))
    listener.close()
    with pytest.raises(OSError):
        listener.accept()
