"""waitress with our bounds, over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from qm.web.server import Server
from qm.wire.address import Address
from tests.wants import want

HERE = Address("127.0.0.1", 0)


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


class Slow:
    """An application that answers when it is let."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.let = threading.Event()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.asked.set()
        assert self.let.wait(30)
        return hello(environ, start_response)


@contextmanager
def serving(app: object = hello) -> Iterator[Server]:
    server = Server(app, HERE)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()


def ask(address: Address, request: bytes) -> bytes:
    with socket.create_connection(address, timeout=10) as sock:
        sock.sendall(request)
        return read_all(sock)


def read_all(sock: socket.socket) -> bytes:
    answer = b""
    try:
        while chunk := sock.recv(65536):
            answer += chunk
    except ConnectionResetError:  # it had not read all that we sent
        assert answer
    return answer


GET = b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"


def test_it_serves_at_the_address_it_names() -> None:
    with serving() as server:
        assert server.address.port != 0
        answer = ask(server.address, GET)
    assert answer.startswith(b"HTTP/1.0 200 OK\r\n") and answer.endswith(b"\r\n\r\nhello")
    assert b"waitress" not in answer.lower()


def test_it_listens_where_it_is_told_and_nowhere_else() -> None:
    with serving() as server, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", server.address.port), timeout=10)


def test_a_taken_port_is_an_error_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError):
        Server(hello, Address(*other.getsockname()))


def test_ipv6_is_served_too() -> None:
    want(Path("/proc/net/if_inet6").exists(), "IPv6")
    server = Server(hello, Address("::1", 0))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert ask(server.address, GET).endswith(b"hello")
    finally:
        server.stop()
        thread.join(10)


def test_a_stop_answers_what_is_under_way() -> None:
    slow = Slow()
    with serving(slow) as server, socket.create_connection(server.address, timeout=10) as sock:
        sock.sendall(GET)
        assert slow.asked.wait(10)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        stopping.join(0.3)
        assert stopping.is_alive(), "it waits for the answer"
        slow.let.set()
        assert read_all(sock).endswith(b"hello")
        stopping.join(10)


def test_a_stop_closes_silent_connections() -> None:
    with serving() as server:
        sock = socket.create_connection(server.address, timeout=10)
        assert ask(server.address, GET).endswith(b"hello")  # so it has seen the silent one too
    with sock:
        assert read_all_or_reset(sock) == b""


def read_all_or_reset(sock: socket.socket) -> bytes:
    try:
        return sock.recv(100)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b"431 "),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"431 "),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000000\r\n\r\n", b"413 "),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"400 "),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400 "),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX y\r\n\r\n", b"400 "),
        (b"GET / HTTP/1.1\nHost: a\n\n\r\n\r\n", b"400 "),
    ],
)
def test_requests_out_of_bounds_are_refused(request_: bytes, status: bytes) -> None:
    with serving() as server:
        answer = ask(server.address, request_)
        assert answer.split(b" ", 1)[1].startswith(status)
        assert b"Traceback" not in answer
        assert ask(server.address, GET).endswith(b"hello")
