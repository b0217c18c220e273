"""One connection for many threads: each gets its own answer, or learns at once that none comes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from qm.wire.codec import Reply, Request, decode_request, envelope
from qm.wire.frames import Connection
from qm.wire.shared import Line, _Call
from tests.interrupts import interrupted_after
from tests.wire.peers import PATIENCE

#: Seconds until a call that shall give up does.
SOON = 0.05


class Pair:
    """A line, and its other end in the test's hands."""

    def __init__(self) -> None:
        near, far = socket.socketpair()
        self.near, self.far = Connection(near), Connection(far)
        self.line = Line(self.near)
        self.line.share()
        self._pool = ThreadPoolExecutor()

    def call(self, rid: int, timeout: float = PATIENCE) -> bytes | None:
        """The answer to a call of this thread."""
        reply = self.line.call(rid, envelope(Request(rid, "o", "v", b"")), timeout)
        return reply.body if reply is not None else None

    def begin(self, rid: int, timeout: float = PATIENCE) -> Future[bytes | None]:
        """A call of another thread; it has been sent when this returns."""
        begun = self._pool.submit(self.call, rid, timeout)
        self.read(rid)
        return begun

    def read(self, rid: int) -> None:
        """The next question is this one."""
        assert decode_request(self.far.recv_frame(PATIENCE)).rid == rid

    def answer(self, *rids: int) -> None:
        """Answers calls, each with its own number."""
        for rid in rids:
            self.far.send_frame(envelope(Reply(rid, True, b"%d" % rid)))

    def close(self) -> None:
        self.far.close()
        self._pool.shutdown()
        self.line.retire()


@pytest.fixture
def pair() -> Iterator[Pair]:
    with contextlib.closing(Pair()) as pair:
        yield pair


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 1, 3)])
def test_answers_go_to_their_calls_in_whatever_order_they_come(pair: Pair, order: tuple[int, ...]) -> None:
    calls = [pair.begin(rid) for rid in (1, 2, 3)]
    pair.answer(*order)
    assert [call.result(PATIENCE) for call in calls] == [b"1", b"2", b"3"]


def test_who_has_its_answer_hands_the_reading_on(pair: Pair) -> None:
    calls = [pair.begin(rid) for rid in range(1, 6)]
    for rid, call in enumerate(calls, 1):
        pair.answer(rid)
        assert call.result(PATIENCE) == b"%d" % rid


def test_a_call_can_begin_while_another_reads_and_end_before_it(pair: Pair) -> None:
    first = pair.begin(1)
    for rid in (2, 3):
        call = pair.begin(rid)
        pair.answer(rid)
        assert call.result(PATIENCE) == b"%d" % rid
    assert not first.done()
    pair.answer(1)
    assert first.result(PATIENCE) == b"1"


@pytest.mark.parametrize("short", [1, 2], ids=["the one that reads", "one that sleeps"])
def test_a_call_that_gives_up_gives_up_alone(pair: Pair, short: int) -> None:
    calls = {rid: pair.begin(rid, SOON if rid == short else PATIENCE) for rid in (1, 2, 3)}
    with pytest.raises(TimeoutError) as caught:
        calls.pop(short).result(PATIENCE)
    assert caught.value.errno is None
    assert pair.call(4) is None, "the late answer stands in its way: it goes elsewhere"
    pair.answer(1, 2, 3)  # the late one too: nobody gets it
    assert [call.result(PATIENCE) for call in calls.values()] == [b"%d" % rid for rid in calls]
    assert pair.near.fileno() == -1, "the last one closes it"


def test_the_end_of_the_connection_is_told_to_all_at_once(pair: Pair) -> None:
    calls = [pair.begin(rid) for rid in (1, 2, 3)]
    pair.far.hang_up()
    for call in calls:
        assert isinstance(call.exception(PATIENCE), (EOFError, ConnectionError))
    assert pair.near.fileno() == -1
    assert pair.call(4) is None


@pytest.mark.parametrize("rid", [2, 7], ids=["answered already", "never asked"])
def test_an_answer_to_no_call_ends_the_connection(pair: Pair, rid: int) -> None:
    first, second = pair.begin(1), pair.begin(2)
    pair.answer(2)
    assert second.result(PATIENCE) == b"2"
    pair.answer(rid)
    assert "an answer to another call" in str(first.exception(PATIENCE))
    assert pair.near.fileno() == -1


def test_an_answer_that_stops_halfway_ends_the_connection(pair: Pair) -> None:
    """The one whose time is over has run out of it; the others are told that it is lost."""
    short = pair.begin(1, SOON)
    long = pair.begin(2)
    pair.far.sock.sendall(b"\0\0")
    assert type(short.exception(PATIENCE)).__mro__[1] is TimeoutError
    assert isinstance(long.exception(PATIENCE), (EOFError, ConnectionError))
    assert pair.near.fileno() == -1


def test_a_question_that_went_out_in_part_ends_the_connection(pair: Pair) -> None:
    waiting = pair.begin(1)
    with pytest.raises(TimeoutError):
        pair.line.call(2, bytes(16 * 1024 * 1024), SOON)  # nobody reads it
    assert isinstance(waiting.exception(PATIENCE), (EOFError, ConnectionError))


def test_an_interrupt_of_the_one_that_reads_is_told_to_the_others(pair: Pair) -> None:
    with pytest.raises(KeyboardInterrupt), interrupted_after(lambda: pair.read(1)):
        pair.call(1)
    assert pair.near.fileno() == -1
    assert pair.call(2) is None


def test_an_interrupt_of_one_that_sleeps_is_told_to_the_one_that_reads(pair: Pair) -> None:
    reads = pair.begin(1)
    with pytest.raises(KeyboardInterrupt), interrupted_after(lambda: pair.read(2)):
        pair.call(2)
    assert isinstance(reads.exception(PATIENCE), (EOFError, ConnectionError))
    assert pair.near.fileno() == -1


def test_a_thread_is_on_it_once(pair: Pair) -> None:
    """A signal handler in the middle of a call would wait for the thread that it interrupts."""
    inner: list[object] = []
    sent = pair.near.send_frame

    def send_and_call(frame: bytes, timeout: float | None = None) -> None:
        inner.append((pair.line.has_this_thread(), pair.line.call(2, frame, PATIENCE)))
        sent(frame, timeout)

    pair.near.send_frame = send_and_call  # type: ignore[method-assign]
    assert not pair.line.has_this_thread()
    call = pair.begin(1)
    pair.answer(1)
    assert call.result(PATIENCE) == b"1"
    assert inner == [(True, None)]


def test_one_borrower_at_a_time_has_it_for_itself(pair: Pair) -> None:
    call = pair.begin(1)
    assert not pair.line.withdraw(), "somebody is on it"
    pair.answer(1)
    call.result(PATIENCE)
    assert pair.line.withdraw()
    assert pair.call(2) is None
    pair.answer(3)
    reply = pair.line.call(3, envelope(Request(3, "o", "v", b"")), PATIENCE, borrowed=True)
    assert reply is not None and reply.body == b"3"


def test_a_line_that_retires_answers_those_on_it(pair: Pair) -> None:
    calls = [pair.begin(rid) for rid in (1, 2)]
    pair.line.retire()
    assert pair.call(3) is None
    pair.answer(1, 2)
    assert [call.result(PATIENCE) for call in calls] == [b"1", b"2"]
    assert pair.near.fileno() == -1


def test_an_interrupt_in_the_middle_of_waking_another_does_not_end_the_waking() -> None:
    """Row 19: who is woken twice is awake; else those behind it would sleep until their own deadline."""
    call = _Call()
    call.asleep = threading.Lock()
    call.asleep.acquire()
    call.asleep.release()  # as far as the interrupted one came
    call.wake()
    assert call.asleep is None
