"""Frames: whole or refused, whatever the peer sends and however slowly."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from itertools import pairwise
from threading import Event, Thread
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm.limits import FRAME_MAX
from qm.wire import frames
from qm.wire.frames import Connection, WireError
from tests.wire.peers import Clock, Script, framed


def scripted(*chunks: bytes, clock: Clock | None = None, pace: float = 0.0) -> tuple[Connection, Script]:
    script = Script(list(chunks), clock, pace)
    return Connection(cast(Any, script)), script


@pytest.fixture
def pair() -> Iterator[tuple[Connection, Connection]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        left = socket.create_connection(server.getsockname())
        right, _ = server.accept()
    with left, right:
        yield Connection(left), Connection(right)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(frames, "time", clock)
    return clock


@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_frames_arrive_as_they_were_sent_however_they_are_cut(sent: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(framed, sent))
    cuts = data.draw(st.lists(st.integers(1, max(1, len(stream) - 1)), unique=True))
    places = [0, *sorted(cuts), len(stream)]
    connection, _ = scripted(*(stream[a:b] for a, b in pairwise(places) if a < b))
    assert [bytes(connection.recv_frame()) for _ in sent] == sent
    with pytest.raises(EOFError):
        connection.recv_frame()


@pytest.mark.parametrize("size", [0, 1, 65531, 65532, 65533, 300_000, FRAME_MAX])
def test_a_frame_of_any_allowed_size_passes(pair: tuple[Connection, Connection], size: int) -> None:
    left, right = pair
    frame = bytes(size)
    sender = Thread(target=left.send_frame, args=(frame,))
    sender.start()
    assert right.recv_frame() == frame
    sender.join()


@pytest.mark.parametrize("claim", [b"\xff\xff\xff\xff", b"\x00\x40\x00\x01", b"GET ", b"SSH-"])
def test_a_length_over_the_limit_is_refused_before_anything_more_is_read(claim: bytes) -> None:
    """Row 11."""
    connection, script = scripted(claim, b"x" * 1000)
    with pytest.raises(WireError, match="the limit is"):
        connection.recv_frame()
    assert len(script.asked) == 1


def test_a_limit_of_the_caller_holds_also_for_a_frame_that_is_there_already() -> None:
    connection, _ = scripted(framed(b"x" * 65))
    with pytest.raises(WireError, match="65 bytes, the limit is 64"):
        connection.recv_frame(limit=64)


def test_memory_grows_only_with_what_arrives() -> None:
    """Row 11: to claim four megabytes costs a peer four bytes, so it must not cost us more."""
    connection, script = scripted(FRAME_MAX.to_bytes(4), *[b"x"] * 20)
    with pytest.raises(WireError, match="closed in the middle"):
        connection.recv_frame()
    assert max(script.asked) <= 256 * 1024


@pytest.mark.parametrize("part", [b"\0", b"\0\0\0", b"\0\0\0\5", b"\0\0\0\5abcd"])
def test_a_frame_that_is_cut_off_is_an_error_and_no_frame(part: bytes) -> None:
    connection, _ = scripted(part)
    with pytest.raises(WireError, match="closed in the middle"):
        connection.recv_frame()


@pytest.mark.parametrize("together", [1, 3, 4, 10])
def test_a_trickled_frame_is_given_up_at_its_deadline(clock: Clock, together: int) -> None:
    """Row 11: a byte a second would otherwise hold a thread for weeks."""
    stream = framed(bytes(1000))
    chunks = [stream[:together], *(stream[i : i + 1] for i in range(together, len(stream)))]
    connection, _ = scripted(*chunks, clock=clock, pace=1.0)
    begun = clock.now
    with pytest.raises(TimeoutError):
        connection.recv_frame()
    assert clock.now - begun == pytest.approx(frames.FRAME_DEADLINE, abs=2)


def test_a_peer_may_stay_silent_between_frames_as_long_as_it_likes(clock: Clock) -> None:
    connection, _ = scripted(framed(b"at last"), clock=clock, pace=1e6)
    assert bytes(connection.recv_frame()) == b"at last"


@pytest.mark.parametrize("pace", [0.1, 1.0, 100.0])
def test_a_timeout_is_for_the_whole_frame_and_not_for_each_byte(clock: Clock, pace: float) -> None:
    connection, _ = scripted(b"\0\0\0\xff", *[b"x"] * 255, clock=clock, pace=pace)
    begun = clock.now
    with pytest.raises(TimeoutError):
        connection.recv_frame(5.0)
    assert clock.now - begun == pytest.approx(5.0, abs=0.2)


def test_what_came_with_the_last_frame_needs_no_wait() -> None:
    connection, script = scripted(framed(b"one") + framed(b"two"))
    assert bytes(connection.recv_frame()) == b"one"
    assert bytes(connection.recv_frame()) == b"two"
    assert len(script.asked) == 1


def test_a_peer_that_does_not_read_is_given_up(pair: tuple[Connection, Connection]) -> None:
    left, _ = pair
    with pytest.raises(TimeoutError):
        for _ in range(100):
            left.send_frame(bytes(FRAME_MAX), timeout=0.05)


def test_a_peer_that_reads_now_and_then_is_given_up_too(
    pair: tuple[Connection, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 25: where no time is said, it is for the whole frame, and does not begin anew with each byte."""
    monkeypatch.setattr(frames, "FRAME_DEADLINE", 0.3)
    left, right = pair
    over = Event()

    def sip() -> None:
        while not over.wait(0.02):
            right.sock.recv(1)

    sipper = Thread(target=sip)
    sipper.start()
    with pytest.raises(TimeoutError):
        left.send_frame(bytes(FRAME_MAX))
    over.set()
    sipper.join()


def test_a_short_frame_to_a_peer_that_does_not_read_ends_by_the_sockets_own_timeout(
    pair: tuple[Connection, Connection],
) -> None:
    """Row 25: it costs no system call to say so for each of them."""
    left, _ = pair
    left.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 50_000))
    with pytest.raises(BlockingIOError):
        for _ in range(1000):
            left.send_frame(bytes(16_000))


def test_a_timeout_of_one_call_does_not_bound_the_next(pair: tuple[Connection, Connection]) -> None:
    left, right = pair
    with pytest.raises(TimeoutError):
        left.recv_frame(0.001)
    sender = Thread(target=left.send_frame, args=(bytes(FRAME_MAX), 30.0))
    sender.start()
    assert len(right.recv_frame()) == FRAME_MAX
    sender.join()


def test_hanging_up_ends_a_read_of_another_thread(pair: tuple[Connection, Connection]) -> None:
    left, _ = pair
    Thread(target=left.hang_up).start()
    with pytest.raises(EOFError):
        left.recv_frame(10)
    left.hang_up()  # again: what we wanted


def test_the_end_of_reading_leaves_room_for_an_answer(pair: tuple[Connection, Connection]) -> None:
    left, right = pair
    left.end_reading()
    with pytest.raises(EOFError):
        left.recv_frame(10)
    left.send_frame(b"the answer")
    assert bytes(right.recv_frame(10)) == b"the answer"


def test_a_reset_is_seen_as_a_reset(pair: tuple[Connection, Connection]) -> None:
    left, right = pair
    left.reset()
    with pytest.raises(EOFError):
        left.recv_frame(10)
    left.close()
    with pytest.raises(ConnectionResetError):
        right.recv_frame(10)


def test_ending_a_connection_that_is_gone_is_fine(pair: tuple[Connection, Connection]) -> None:
    left, right = pair
    right.reset()
    right.close()
    with pytest.raises(ConnectionResetError):
        left.recv_frame(10)
    left.end_reading()
    left.hang_up()
    left.reset()
