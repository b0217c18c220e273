"""One connection for the calls of many threads.

Each thread sends its own question, under a lock, so that frames go out whole. One of those who wait reads
for all of them: it hands out answers by their numbers, and when its own has come, the oldest who still waits
reads on. So no thread only reads, and a caller alone sends and reads as if the connection were its own.

    threads    send 1 ─ read: 1 is mine ─► go on
               send 2 ─ wait ············· read: 3 is another's, 2 is mine ─► go on
               send 3 ─ wait ····························· its answer ─► go on

A call without an answer in time leaves alone: the others wait on, its late answer belongs to nobody, and new
calls go elsewhere. Anything else that goes wrong ends the connection for all who are on it, at once.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from threading import get_ident
from typing import Any, Final

from qm.wire.codec import Reply, decode_reply
from qm.wire.frames import FRAME_DEADLINE, Connection, WireError


class _HalfCame(TimeoutError):
    """A frame stopped halfway: nobody can read on."""


class _Reading(Connection):
    """The reading end, with a time limit of its own: senders have theirs."""

    def _complete(self, *args: Any) -> bytearray:
        try:
            return super()._complete(*args)
        except TimeoutError as error:
            if error.errno is not None:  # the kernel gave the peer up
                raise
            raise _HalfCame("an answer stopped halfway") from None


class _Call:
    """One call under way. The lock of its `Line` guards it."""

    #: Its answer, once another has read it.
    reply: Reply | None = None
    #: What it sleeps on while another reads; released to wake it.
    asleep: threading.Lock | None = None

    #: Its number.
    rid = 0
    #: Whether it is the one that reads.
    reads = False

    def wake(self) -> None:
        """Ends its sleep, if it sleeps."""
        if self.asleep is not None:
            with suppress(RuntimeError):  # it was woken already, and an interrupt came before the next line
                self.asleep.release()
            self.asleep = None


class Line:
    """A connection that calls of several threads can be on at once. When it is over, the last closes it.

    It belongs to one borrower until `share` is called, and again from `withdraw` on.
    """

    def __init__(self, connection: Connection) -> None:
        self._sender: Final = connection
        self._reader: Final = _Reading(connection.sock.dup(), connection.peer)
        #: Held while a frame goes out.
        self._sending: Final = threading.Lock()
        #: Guards all that follows.
        self._lock: Final = threading.Lock()
        #: By the threads that are on it, in the order in which they came.
        self._calls: dict[int, _Call] = {}
        #: The numbers of calls that gave up, and whose answers may still come.
        self._given_up: set[int] = set()
        #: Whether one of the calls reads. One that is sending does not, or manager and client could each wait
        #: for the other to read; except for one that came alone: there is nothing to read yet.
        self._reading = False
        self._shared = False
        self._over = False
        #: Why there will be no more answers.
        self._lost: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether everybody may call."""
        return self._shared and not self._over

    @property
    def is_over(self) -> bool:
        """Whether it takes no more calls."""
        return self._over

    def has_this_thread(self) -> bool:
        """Whether this thread has a call on it: then this is a signal handler or a finalizer in the middle of
        that call, and would wait for itself."""
        return get_ident() in self._calls

    def share(self) -> None:
        """From now on everybody may call."""
        self._shared = True

    def withdraw(self) -> bool:
        """For one borrower again, if nobody is on it. Gives whether it is."""
        with self._lock:
            if self._calls or self._over:
                return False
            self._shared = False
            return True

    def call(self, rid: int, frame: bytes, timeout: float, borrowed: bool = False) -> Reply | None:
        """Sends the call number `rid` and gives its answer; or sends nothing and gives None, where the line
        is over, not shared (and not `borrowed` by the caller), or has a call of this thread already.

        `timeout`: seconds until the answer, from when it is sent. Raises TimeoutError without errno for this,
        and EOFError, `WireError` or another OSError where the connection is lost.
        """
        thread = get_ident()
        sent = False
        try:
            with self._lock:
                if self._over or not (self._shared or borrowed) or thread in self._calls:
                    return None
                alone = not self._calls
                call = self._calls[thread] = _Call()
                call.rid = rid
                if alone:
                    self._reading = call.reads = True
            with self._sending:
                if self._lost is not None:
                    raise ConnectionResetError(self._lost)
                self._sender.send_frame(frame, timeout if timeout < FRAME_DEADLINE else FRAME_DEADLINE)
            sent = True
            if alone:
                reply = decode_reply(self._reader.recv_frame(timeout))
                if reply.rid != rid:
                    reply = self._read_on(reply, call, timeout)
            else:
                reply = self._wait(call, timeout)
            with self._lock:
                if len(self._calls) > 1 or self._over:
                    self._leave(thread, call)
                else:
                    del self._calls[thread]
                    self._reading = False
        except BaseException as error:  # also an interrupt, which can come anywhere: half a frame may be out
            if sent and _leaves_in_step(error):
                self._give_up(thread, call)
            else:
                self._break(thread, rid, error)
            raise
        return reply

    def retire(self) -> None:
        """Takes no more calls; those on it are answered, and then it is closed."""
        with self._lock:
            self._end()

    def cut(self) -> None:
        """Takes no more calls, and those on it fail now."""
        with self._lock:
            self._lose("it was left")
            self._end()

    def _wait(self, call: _Call, timeout: float) -> Reply:
        """The answer, read by another, or by this one when it is its turn."""
        deadline = time.monotonic() + timeout
        asleep = self._read_or_sleep(call)
        if asleep is not None:
            asleep.acquire(timeout=timeout)
        if call.reply is not None:
            return call.reply
        if self._lost is not None:
            raise ConnectionResetError(self._lost)
        left = deadline - time.monotonic()
        if not call.reads or left <= 0:
            raise TimeoutError
        return self._read_on(decode_reply(self._reader.recv_frame(left)), call, left)

    def _read_or_sleep(self, call: _Call) -> threading.Lock | None:
        """Makes the call the one that reads; where there is one, gives the lock to sleep on."""
        with self._lock:
            if call.reply is not None or self._lost is not None:
                return None
            if not self._reading:
                self._reading = call.reads = True
                return None
            call.asleep = asleep = threading.Lock()
            asleep.acquire()
            return asleep

    def _read_on(self, reply: Reply, call: _Call, timeout: float) -> Reply:
        """Hands out what was read, up to the answer of the call."""
        deadline = time.monotonic() + timeout
        while reply.rid != call.rid:
            self._hand_out(reply)
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            reply = decode_reply(self._reader.recv_frame(left))
        return reply

    def _hand_out(self, reply: Reply) -> None:
        with self._lock:
            for call in self._calls.values():  # answers come in order: it is the first of them, or near
                if call.rid == reply.rid and call.reply is None:
                    call.reply = reply
                    call.wake()
                    return
            if reply.rid not in self._given_up:
                raise WireError("an answer to another call")
            self._given_up.discard(reply.rid)

    def _give_up(self, thread: int, call: _Call) -> None:
        """Leaves without an answer. It stands in the way of others until it comes: no more calls here."""
        with self._lock:
            self._given_up.add(call.rid)
            self._over = True
            self._leave(thread, call)

    def _break(self, thread: int, rid: int, error: BaseException) -> None:
        """It is lost for all who are on it."""
        with self._lock:
            self._lose(_reason(error))
            call = self._calls.get(thread)
            if call is not None and call.rid == rid:  # else the interrupt came before or after
                self._leave(thread, call)
            self._end()

    def _lose(self, why: str) -> None:
        """With the lock held: whoever sends, reads or sleeps learns it."""
        if self._lost is None:
            self._lost = why
            self._sender.hang_up()
        for call in self._calls.values():
            call.wake()

    def _leave(self, thread: int, call: _Call) -> None:
        """With the lock held: another reads on, and the last one closes what is over."""
        if call.reads:
            self._reading = len(self._calls) > 1 and self._pass_on()
        del self._calls[thread]
        if self._over:
            self._end()

    def _pass_on(self) -> bool:
        """The oldest that sleeps, if any, reads on: answers come in the order of the questions."""
        for call in self._calls.values():
            if call.asleep is not None:
                call.reads = True
                call.wake()
                return True
        return False

    def _end(self) -> None:
        """Closed only when nobody is on it: the number of a closed descriptor soon means another."""
        self._over = True
        if not self._calls:
            self._reader.close()
            self._sender.close()


def _leaves_in_step(error: BaseException) -> bool:
    """Whether an answer did not come in time, and no part of one did."""
    return isinstance(error, TimeoutError) and error.errno is None and not isinstance(error, _HalfCame)


def _reason(error: BaseException) -> str:
    if isinstance(error, Exception):
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "another call on the same connection was interrupted"
