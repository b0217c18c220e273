"""A TLS connection that behaves as a socket does, for one thread that reads and one that writes."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from qm.wire.address import Address
from qm.wire.auth import handshake_deadline
from qm.wire.codec import Reply, Request, decode_request, envelope
from qm.wire.frames import Connection, WireError
from qm.wire.servertls import ServerTLS
from qm.wire.shared import Line
from qm.wire.tls import TLSError
from qm.wire.trust import Trust
from tests.interrupts import interrupted_after
from tests.wire.certificates import authority, issue
from tests.wire.peers import PATIENCE

HERE = Address("localhost", 1)


class Tap:
    """Two ends of a TLS connection, and the sockets between them in the test's hands:

    near ═ TLS ═ [tapped ... theirs] ═ TLS ═ far
    """

    def __init__(self, tls: ServerTLS, through: bool) -> None:
        near, self.tapped = socket.socketpair()
        if through:
            far = self.tapped
            self.theirs = far
        else:
            self.theirs, far = socket.socketpair()
        self.near, self.far = Connection(near), Connection(far)
        self._pool = ThreadPoolExecutor()
        welcomed = self._pool.submit(tls.welcome, self.far, handshake_deadline())
        secured = self._pool.submit(Trust(tls.fingerprint).secure, self.near, HERE, handshake_deadline())
        if not through:
            self._pump(welcomed, secured)
        assert secured.result(PATIENCE) == tls.certificate
        welcomed.result(PATIENCE)

    def _pump(self, *until: Future) -> None:
        """Passes the handshake on."""
        for end in (self.tapped, self.theirs):
            end.settimeout(0.01)
        while not all(future.done() for future in until):
            for source, target in ((self.tapped, self.theirs), (self.theirs, self.tapped)):
                try:
                    target.sendall(source.recv(65536))
                except TimeoutError:
                    continue
        for end in (self.tapped, self.theirs):
            end.settimeout(PATIENCE)

    def close(self) -> None:
        self.near.close()
        self.far.close()
        self.tapped.close()
        self.theirs.close()
        self._pool.shutdown()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ServerTLS:
    folder: Path = tmp_path_factory.mktemp("manager")
    return issue(folder, authority()).load()


@pytest.fixture
def pair(tls: ServerTLS) -> Iterator[Tap]:
    """Two ends, straight."""
    tap = Tap(tls, through=True)
    yield tap
    tap.close()


@pytest.fixture
def tap(tls: ServerTLS) -> Iterator[Tap]:
    """Two ends, and what lies between them."""
    tap = Tap(tls, through=False)
    yield tap
    tap.close()


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 65536, 4 * 1024 * 1024])
def test_frames_of_every_size_arrive_whole(pair: Tap, size: int) -> None:
    frame = os.urandom(size)
    sending = threading.Thread(target=pair.near.send_frame, args=(frame, PATIENCE))
    sending.start()
    assert bytes(pair.far.recv_frame(PATIENCE)) == frame
    sending.join()


def test_frames_that_came_together_are_read_one_by_one_without_the_network(pair: Tap) -> None:
    """What is decrypted already must not wait for more to arrive: nobody would send it."""
    frames = [bytes([number]) * 5000 for number in range(20)]
    for frame in frames:
        pair.near.send_frame(frame)
    pair.near.hang_up()
    assert [bytes(pair.far.recv_frame(PATIENCE)) for _ in frames] == frames
    with pytest.raises(EOFError):
        pair.far.recv_frame(PATIENCE)


def test_both_ends_read_and_write_at_once_each_in_two_threads(pair: Tap) -> None:
    """What OpenSSL itself does not allow: a megabyte a frame, both ways, while answers are read."""
    random_ = random.Random(1)
    frames = [random_.randbytes(random_.choice((1, 100, 20_000, 1_000_000))) for _ in range(60)]

    def write(connection: Connection) -> None:
        for frame in frames:
            connection.send_frame(frame, PATIENCE)

    def read(connection: Connection) -> list[bytes]:
        reader = Connection(connection.sock.dup())
        try:
            return [bytes(reader.recv_frame(PATIENCE)) for _ in frames]
        finally:
            reader.close()

    with ThreadPoolExecutor() as pool:
        writing = [pool.submit(write, end) for end in (pair.near, pair.far)]
        reading = [pool.submit(read, end) for end in (pair.near, pair.far)]
        for write_ in writing:
            write_.result(60)
        assert [read_.result(60) == frames for read_ in reading] == [True, True]


def test_two_that_write_at_once_do_not_mix_their_records(pair: Tap) -> None:
    """Encrypted in one order and sent in another, they would end the connection."""
    frames = [bytes([number]) * 300_000 for number in range(40)]

    def write(half: int) -> None:
        writer = Connection(pair.near.sock.dup())
        for frame in frames[half::2]:
            writer.send_frame(frame, PATIENCE)
        writer.close()

    with ThreadPoolExecutor() as pool:
        writing = [pool.submit(write, half) for half in (0, 1)]
        read = sorted(bytes(pair.far.recv_frame(PATIENCE)) for _ in frames)
        for write_ in writing:
            write_.result(PATIENCE)
    assert read == frames


def test_a_line_of_many_calls_works_over_tls(pair: Tap) -> None:
    line = Line(pair.near)
    line.share()

    def serve() -> None:
        for _ in range(200):
            request = decode_request(pair.far.recv_frame(PATIENCE))
            pair.far.send_frame(envelope(Reply(request.rid, True, request.args)))

    def call(rid: int) -> bool:
        args = b"%d" % rid * 1000
        reply = line.call(rid, envelope(Request(rid, "o", "v", args)), PATIENCE)
        return reply is not None and reply.body == args

    with ThreadPoolExecutor(9) as pool:
        serving = pool.submit(serve)
        assert all(pool.map(call, range(200)))
        serving.result(PATIENCE)
    line.retire()


def test_an_interrupted_call_over_tls_ends_the_connection(pair: Tap) -> None:
    line = Line(pair.near)
    line.share()
    with pytest.raises(KeyboardInterrupt), interrupted_after(lambda: pair.far.recv_frame(PATIENCE)):
        line.call(1, envelope(Request(1, "o", "v", b"")), PATIENCE)
    assert pair.near.fileno() == -1
    assert line.call(2, b"", PATIENCE) is None


def test_each_of_the_two_has_a_timeout_of_its_own(pair: Tap) -> None:
    other = pair.near.sock.dup()
    pair.near.sock.settimeout(5.0)
    other.settimeout(7.0)
    assert (pair.near.sock.gettimeout(), other.gettimeout()) == (5.0, 7.0)
    other.close()
    pair.near.send_frame(b"still open")
    assert bytes(pair.far.recv_frame(PATIENCE)) == b"still open"


def test_a_read_that_is_over_its_time_leaves_what_came_for_the_next(tap: Tap) -> None:
    """Half a record is no loss: the connection stays in step, as a caller who gives up expects."""
    tap.near.send_frame(b"x" * 100)
    record = tap.tapped.recv(65536)
    tap.theirs.sendall(record[:50])
    begun = time.monotonic()
    with pytest.raises(TimeoutError) as caught:
        tap.far.recv_frame(0.05)
    assert caught.value.errno is None
    assert time.monotonic() - begun < PATIENCE
    tap.theirs.sendall(record[50:])
    assert bytes(tap.far.recv_frame(PATIENCE)) == b"x" * 100


def test_a_record_that_trickles_in_does_not_begin_the_time_anew(tap: Tap) -> None:
    tap.near.send_frame(b"x" * 1000)
    record = tap.tapped.recv(65536)
    over = threading.Event()

    def trickle() -> None:
        for byte in record[:-1]:
            tap.theirs.sendall(bytes([byte]))
            if over.wait(0.01):
                return

    trickling = threading.Thread(target=trickle)
    trickling.start()
    try:
        with pytest.raises(TimeoutError):
            tap.far.recv_frame(0.1)
        assert trickling.is_alive(), "it waited for all of it"
    finally:
        over.set()
        trickling.join()


@pytest.mark.parametrize("place", [0, 3, 5, 20, -1])
def test_a_changed_byte_ends_the_connection(tap: Tap, place: int) -> None:
    tap.near.send_frame(b"x" * 100)
    record = bytearray(tap.tapped.recv(65536))
    record[place] ^= 1
    tap.theirs.sendall(record)
    tap.theirs.shutdown(socket.SHUT_WR)
    with pytest.raises((WireError, EOFError)) as caught:
        tap.far.recv_frame(PATIENCE)
    assert "_ssl.c" not in str(caught.value)


@pytest.mark.parametrize("change", ["repeated", "left out", "swapped"])
def test_records_that_are_not_in_their_order_end_the_connection(tap: Tap, change: str) -> None:
    records = []
    for number in range(3):
        tap.near.send_frame(b"%d" % number)
        records.append(tap.tapped.recv(65536))
    first, second, third = records
    tap.theirs.sendall(
        {"repeated": first + first, "left out": first + third, "swapped": first + third + second}[change]
    )
    assert bytes(tap.far.recv_frame(PATIENCE)) == b"0"
    with pytest.raises(TLSError):
        tap.far.recv_frame(PATIENCE)


def test_an_end_without_a_farewell_is_an_end_and_a_cut_frame_is_none(tap: Tap) -> None:
    tap.near.send_frame(b"whole")
    tap.theirs.sendall(tap.tapped.recv(65536))
    assert bytes(tap.far.recv_frame(PATIENCE)) == b"whole"
    tap.near.sock.sendall(b"\0\0\0\x05ha")
    tap.theirs.sendall(tap.tapped.recv(65536))
    tap.theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(WireError, match="closed in the middle of a frame"):
        tap.far.recv_frame(PATIENCE)


@pytest.mark.parametrize("how", ["hang_up", "end_reading", "reset"])
def test_a_thread_that_reads_is_woken_by_another(pair: Tap, how: str) -> None:
    woken: list[BaseException] = []

    def read() -> None:
        try:
            pair.near.recv_frame()
        except (EOFError, OSError) as error:
            woken.append(error)

    reading = threading.Thread(target=read)
    reading.start()
    getattr(pair.near, how)()
    reading.join(PATIENCE)
    assert not reading.is_alive() and len(woken) == 1


def test_what_is_under_way_is_answered_after_the_reading_has_ended(pair: Tap) -> None:
    pair.far.send_frame(b"question")
    pair.near.end_reading()
    assert bytes(pair.near.recv_frame(PATIENCE)) == b"question"
    pair.near.send_frame(b"answer")
    assert bytes(pair.far.recv_frame(PATIENCE)) == b"answer"
    with pytest.raises(EOFError):
        pair.near.recv_frame(PATIENCE)


def test_who_does_not_read_holds_up_a_writer_no_longer_than_its_time_and_no_reader_at_all(pair: Tap) -> None:
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(pair.near.send_frame, bytes(4 * 1024 * 1024), 0.3)
        reader = Connection(pair.near.sock.dup())
        pair.far.send_frame(b"meanwhile")
        assert bytes(reader.recv_frame(PATIENCE)) == b"meanwhile"
        with pytest.raises(TimeoutError):
            writing.result(PATIENCE)
        reader.close()
