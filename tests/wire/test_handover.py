"""The two lines between qmanager and its web process."""

from __future__ import annotations

import pytest

from qm.errors import BadRequest
from qm.wire.address import Address
from qm.wire.handover import WebConfig, WebExit, WebReady

KEY = bytes(range(32))
CONFIG = WebConfig(
    rpc=Address("127.0.0.1", 8090),
    authkey=KEY.hex(),
    tls="pin:/home/tls.crt",
    http=Address("::1", 0),
    log_level="debug",
    log_format="json",
    hosts=("queue.lan",),
    show_payloads=True,
    parent=4711,
)


def test_a_configuration_arrives_as_it_was_sent() -> None:
    line = CONFIG.to_line()
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    arrived = WebConfig.of_line(line)
    assert arrived == CONFIG
    assert arrived.key == KEY
    assert arrived.http.host == "::1"


def test_an_answer_arrives_as_it_was_sent() -> None:
    assert WebReady(Address("127.0.0.1", 8080)).to_line() == b'{"http":["127.0.0.1",8080]}\n'
    assert WebReady.of_line(b'{"http":["127.0.0.1",8080]}') == WebReady(Address("127.0.0.1", 8080))


def test_the_key_is_not_printed() -> None:
    assert KEY.hex() not in repr(CONFIG) and KEY.hex() not in str(CONFIG)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        CONFIG.to_line()[:-5],
        CONFIG.to_line().replace(b'"authkey":"', b'"authkey":["').replace(KEY.hex().encode(), b"x"),
        CONFIG.to_line().replace(b'"parent"', b'"more":1,"parent"'),
        CONFIG.to_line().replace(b"8090", b'"eight"'),
    ],
)
def test_a_line_that_is_no_configuration_is_refused_without_the_key(line: bytes) -> None:
    with pytest.raises(BadRequest, match="the configuration cannot be read") as caught:
        WebConfig.of_line(line)
    assert KEY.hex() not in str(caught.value)


def test_a_key_that_is_not_in_digits_is_refused() -> None:
    config = WebConfig(rpc=Address("a", 1), http=Address("a", 1), authkey="xyz")
    with pytest.raises(BadRequest, match="hexadecimal"):
        _ = config.key


@pytest.mark.parametrize("line", [b"", b"hello", b'{"http": "127.0.0.1"}', b"\xff"])
def test_another_answer_is_refused(line: bytes) -> None:
    with pytest.raises(BadRequest):
        WebReady.of_line(line)


def test_the_exit_codes_are_named_and_stay() -> None:
    assert {exit.name: exit.value for exit in WebExit} == {
        "OK": 0,
        "FAILED": 1,
        "BAD_CONFIG": 2,
        "CANNOT_LISTEN": 69,
    }
