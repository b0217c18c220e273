"""Which hosts are answered."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm.web.app import build
from qm.web.guard import Hosts
from qm.wire.address import Address
from tests.web.calling import Raising, call

HERE = Hosts(Address("127.0.0.1", 8080))
ALL = Hosts(Address("0.0.0.0", 8080), ["Queue.example.org"])


#: Refused requests must not reach the manager.
UNTOUCHED = Raising(AssertionError("it was asked"))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost:8080",
        "localhost:9999",  # a tunnel
        "127.0.0.1",
        "127.0.0.1:8080",
        "127.0.0.53",
        "[::1]",
        "[::1]:8080",
        "[0:0:0:0:0:0:0:1]",
    ],
)
def test_this_machine_is_answered(host: str) -> None:
    assert HERE.allow(host)
    assert ALL.allow(host)


REBOUND = [
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "evil.example.localhost",
    "evil-localhost",
    "127.0.0.1.nip.io",
    "127.0.0.1.evil.example",
    "localhost:8080.evil.example",
    "localhost:8080@evil.example",
    "localhost@evil.example",
    "evil.example#localhost",
    "evil.example/localhost",
    "localhost, evil.example",
    "evil.example, localhost",
    "localhost evil.example",
    "localhost\x00evil.example",
    "localhost\r\nX: y",
    "localhost\n",
    " localhost",
    "localhost:",
    "localhost:port",
    "localhost:99999999",
    "[::1",
    "::1",
    "[localhost]",
    "[evil.example]",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0.0.0.0",
    "[::]",
    "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54",  # localhost in full width
    "1" * 10_000,
    "",
]


@pytest.mark.parametrize("host", REBOUND)
def test_names_of_others_are_refused_wherever_we_listen(host: str) -> None:
    assert not HERE.allow(host)
    assert not ALL.allow(host)


@pytest.mark.parametrize("path", ["/", "/healthz", "/nope"])
@pytest.mark.parametrize("host", ["evil.example", "localhost, evil.example", ""])
def test_a_foreign_host_is_refused_on_every_path_before_anything_else(path: str, host: str) -> None:
    app = build(UNTOUCHED, Address("127.0.0.1", 8080))
    answer = call(app, path, host=host)
    assert answer.status == 421
    assert answer.text == "421 Misdirected Request: this host is not served here\n"
    assert call(app, path, "HEAD", host=host).body == b""


def test_a_forwarded_host_does_not_count() -> None:
    app = build(UNTOUCHED, Address("127.0.0.1", 8080))
    forwarded = {"HTTP_X_FORWARDED_HOST": "localhost", "HTTP_FORWARDED": "host=localhost"}
    assert call(app, "/", host="evil.example", **forwarded).status == 421


def test_a_refused_host_cannot_write_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    app = build(UNTOUCHED, Address("127.0.0.1", 8080))
    with caplog.at_level(logging.INFO):
        call(app, host="evil\n2026-01-01 ERROR fake " + "x" * 5000)
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < 200


def test_a_server_for_this_machine_is_not_called_by_other_addresses() -> None:
    assert not HERE.allow("192.168.1.5")
    assert not HERE.allow("[2001:db8::1]")


def test_a_server_for_others_is_called_by_any_address_but_by_known_names_only() -> None:
    assert ALL.allow("192.168.1.5:80")
    assert ALL.allow("[2001:db8::1]:8080")
    assert ALL.allow("queue.example.org")
    assert ALL.allow("QUEUE.EXAMPLE.ORG:443")
    assert not ALL.allow("example.org")
    assert not HERE.allow("queue.example.org")


def test_a_server_bound_to_a_name_answers_to_it() -> None:
    assert Hosts(Address("queue.lan", 8080)).allow("queue.lan:8080")


@given(st.text(max_size=60))
def test_no_text_is_taken_for_this_machine_by_accident(host: str) -> None:
    if HERE.allow(host):
        name = host.lower().rsplit(":", 1)[0] if host[-1] != "]" else host
        assert name == "localhost" or name.startswith(("127.", "["))
