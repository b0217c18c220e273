"""A client's connections to one manager: few, mended, and never one that a long wait holds up.

The standard library keeps one per thread, and gives an interrupted call's answer to the next call. Here
threads share one (see `qm.wire.shared`), and one on which anything went wrong is dropped.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from qm.errors import AuthFailed, QueueError, TimedOut, Unreachable, by_code
from qm.wire.address import Address, connect
from qm.wire.auth import HANDSHAKE_DEADLINE, handshake_deadline, introduce
from qm.wire.codec import Reply, Request, decode_error, envelope
from qm.wire.frames import Connection, WireError
from qm.wire.shared import Line

#: Idle connections kept for the next call.
_IDLE_MAX: Final = 8


class Secure(Protocol):
    """What makes a connection an encrypted one; see `qm.wire.trust.Trust.secure`."""

    def __call__(self, connection: Connection, address: Address, deadline: float) -> bytes: ...


class Limits(NamedTuple):
    """How long a manager may keep us waiting that we dial. `connect`: seconds until it has taken us in, for
    each address of its name. `whole`: until it has proved its key, None for the usual time. `brisk`: its
    silence is noticed sooner."""

    connect: float = HANDSHAKE_DEADLINE
    whole: float | None = None
    brisk: bool = False


#: Where there is no other manager to go to.
_ALONE: Final = Limits()


class Dial(Protocol):
    """`dial`, with or without TLS."""

    def __call__(self, address: Any, authkey: bytes, /, *, limits: Limits = ...) -> Connection: ...


class Route(Protocol):
    """What carries calls: see `Channels`, which knows one manager; `qm.wire.failover` and `qm.wire.following`
    know several."""

    @property
    def address(self) -> Address:
        """The manager that is called now."""

    def call(self, target: str, verb: str, args: bytes, timeout: float, waits: bool = False) -> bytes: ...
    def close(self) -> None: ...


def dial(
    address: Any, authkey: bytes, secure: Secure | None = None, *, limits: Limits = _ALONE
) -> Connection:
    """A connection that has proved its key. Raises `Unreachable`, `AuthFailed`.

    Who refuses a key says nothing and closes, and so does a manager that is killed in this moment. So it is
    asked a second time: by then the killed one is away, or back and knows us.
    """
    place = Address(*address)
    deadline = handshake_deadline(limits.whole)
    for _ in range(2):
        with suppress(EOFError):
            return _dial_once(place, authkey, secure, limits, deadline)
    raise AuthFailed(
        f"the manager at {place} refused the authkey", hint="use that manager's key (--authkey-file)"
    )


def _dial_once(
    place: Address, authkey: bytes, secure: Secure | None, limits: Limits, deadline: float
) -> Connection:
    """As `dial`. Raises EOFError where the connection ends after our proof."""
    try:
        connection = Connection(connect(place, limits.connect, limits.brisk))
    except OSError as error:
        raise unreachable(place, error) from None
    try:
        certificate = _secured(secure, connection, place, deadline)
        introduce(connection, authkey, str(place), certificate, deadline)
    except OSError as error:
        connection.close()
        raise unreachable(place, error) from None
    except BaseException:
        connection.close()
        raise
    return connection


def _secured(secure: Secure | None, connection: Connection, place: Address, deadline: float) -> bytes:
    """The hash of the manager's certificate, over TLS from now on; empty without."""
    try:
        return secure(connection, place, deadline) if secure is not None else b""
    except EOFError as error:  # it has not seen our proof: this says nothing of our key
        raise ConnectionError(str(error)) from None


def dialler(tls: str) -> Dial:
    """`dial`, over TLS where `tls` says how to know the manager (see `qm.wire.trust`), "" without.

    Raises `BadRequest`.
    """
    if not tls:
        return dial
    # OpenSSL is not for those who do without; and not only when it is dialled: a fork in that moment would
    # leave half of it
    from qm.wire.trust import Trust

    return partial(dial, secure=Trust(tls).secure)


def unreachable(address: Address, error: BaseException) -> Unreachable:
    """The error for a manager that does not answer, with what to do."""
    why = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
    unreached = Unreachable(
        f"cannot reach the manager at {address} ({why})",
        hint='start one with "qmanager", or name another by QM_RPC',
    )
    unreached.why = why
    return unreached


class Channels:
    """Connections to one manager: one that all calls share which do not wait, and a pool for those that do,
    so that a long wait never holds up others. Thread-safe; a forked child dials its own."""

    def __init__(
        self, address: Address, authkey: bytes, make: Callable[[Any, bytes], Connection] = dial
    ) -> None:
        self.address = address
        self._authkey = authkey
        self._dial = make
        self._rids = itertools.count(1)
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        #: Held while the shared line is dialled; by one thread twice where a signal handler calls meanwhile.
        self._dialling = threading.RLock()
        self._idle: list[Line] = []
        #: Those of calls under way that have one of their own.
        self._lent: set[Line] = set()
        self._shared: Line | None = None
        #: How often that failed, and why the last time: those who wait for it do not try one after another.
        self._failures = 0
        self._failure: QueueError | None = None
        self._pid = os.getpid()  # last: a second thread must not pass before the rest is done

    def call(self, target: str, verb: str, args: bytes, timeout: float, waits: bool = False) -> bytes:
        """The packed answer. `waits`: it may be long in coming, so the call gets a connection of its own.

        Raises what the manager says, `TimedOut`, or `Unreachable` where the connection was lost (the call may
        have been carried out).
        """
        if os.getpid() != self._pid:
            self._forget()
        rid = next(self._rids)
        frame = envelope(Request(rid, target, verb, args))
        line = self._shared
        try:
            reply = None if waits or line is None else line.call(rid, frame, timeout)
            if reply is None:
                reply = self._call_elsewhere(rid, frame, timeout, waits)
            if reply.ok:
                return reply.body
            refusal = decode_error(reply.body)
        except (EOFError, OSError, WireError) as error:
            if isinstance(error, TimeoutError) and error.errno is None:  # ours; the kernel's have a number
                raise TimedOut(f"{verb}: no answer from {self.address} within {timeout:g} s") from None
            self.close()  # the manager is gone or restarted: its other connections are dead too
            raise unreachable(self.address, error) from None
        raise refusal

    def open(self) -> None:
        """Connects, if need be. Raises `Unreachable`, `AuthFailed`."""
        self._forget_after_fork()
        self._share()

    def adopt(self, connection: Connection) -> None:
        """Calls go over this connection from now on, which has proved the key."""
        self._forget_after_fork()
        line = Line(connection)
        line.share()
        with self._lock:
            before, self._shared = self._shared, line
        if before is not None:
            before.retire()

    def close(self) -> None:
        """Closes the connections; calls under way are still answered."""
        self._forget_after_fork()
        with self._lock:
            lines, self._idle = [*self._idle, *self._lent], []
            if self._shared is not None:
                lines.append(self._shared)
                self._shared = None
        for line in lines:
            line.retire()

    def cut(self) -> None:
        """Closes the connections; calls under way end with `Unreachable` now."""
        self._forget_after_fork()
        with self._lock:
            shared, self._shared = self._shared, None
        for line in (*self._lent, *([shared] if shared is not None else [])):
            line.cut()
        self.close()

    def _call_elsewhere(self, rid: int, frame: bytes, timeout: float, waits: bool) -> Reply:
        """Over a line of its own; or over the shared one, which has changed since it was looked at."""
        while True:
            line = self._shared
            if waits or (line is not None and line.has_this_thread()):
                return self._call_alone(rid, frame, timeout)
            reply = self._share().call(rid, frame, timeout)
            if reply is not None:
                return reply

    def _call_alone(self, rid: int, frame: bytes, timeout: float) -> Reply:
        while True:
            line = self._borrow()
            self._lent.add(line)
            try:
                reply = line.call(rid, frame, timeout, borrowed=True)
            finally:
                self._lent.discard(line)
            if reply is not None:
                self._give_back(line)
                return reply

    def _share(self) -> Line:
        """The shared line, dialled if need be: once, however many threads want it."""
        failures = self._failures
        with self._dialling:
            shared = self._shared
            if shared is not None and shared.is_open:
                return shared
            failure = self._failure
            if failure is not None and failures != self._failures:  # while we waited for it
                raise by_code(failure.code, str(failure), failure.hint)
            try:
                line = self._idle_line() or Line(self._dial(self.address, self._authkey))
            except QueueError as error:
                self._failures += 1
                self._failure = error
                raise
            line.share()
            with self._lock:
                before, self._shared = self._shared, line
        if before is not None:
            before.retire()
        return line

    def _borrow(self) -> Line:
        line = self._idle_line()
        if line is not None:
            return line
        with self._lock:
            shared = self._shared
            if shared is not None and shared.withdraw():  # one thread alone needs one connection for all
                self._shared = None
                return shared
        return Line(self._dial(self.address, self._authkey))

    def _idle_line(self) -> Line | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, line: Line) -> None:
        self._forget_after_fork()
        with self._lock:
            if len(self._idle) < _IDLE_MAX and not line.is_over:
                self._idle.append(line)
                return
        line.retire()

    def _forget_after_fork(self) -> None:
        """The parent's connections are the parent's: two processes on one would read each other's answers."""
        if os.getpid() != self._pid:
            self._forget()
