"""The client's end: a `BaseManager` that makes nothing on the server and trusts nothing it sends.

The standard library's manager asks the server which methods an object has and builds a class from the answer,
keeps one connection per thread, and gives an interrupted call's answer to the next call. Here proxies are
static, connections come from a pool, and a connection on which anything went wrong is dropped.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from multiprocessing.managers import (  # type: ignore[attr-defined]
    BaseManager,
    BaseProxy,
    Token,
    listener_client,
)
from typing import Any, ClassVar, Final, TypeVar, cast

from qm.errors import BadRequest, QueueError, TimedOut, Unreachable
from qm.limits import WAIT_MAX
from qm.wire.address import Address, connect
from qm.wire.auth import HANDSHAKE_DEADLINE, check_key, introduce
from qm.wire.codec import Request, decode_error, decode_reply, encode, envelope
from qm.wire.frames import Connection, WireError
from qm.wire.listener import Listener
from qm.wire.verbs import OBJECTS, QUEUE, VIEW, QueueVerbs, Signature, ViewVerbs

#: The name of our pair of Listener and Client among the standard library's serializers.
SERIALIZER: Final = "qm"

#: Seconds until a call that does not wait must be answered.
CALL_TIMEOUT: Final = 30.0

#: Idle connections kept for the next call.
_IDLE_MAX: Final = 8


def dial(address: Any, authkey: bytes) -> Connection:
    """A connection that has proved its key. Raises `Unreachable`, `AuthFailed`."""
    place = Address(*address)
    try:
        connection = Connection(connect(place, HANDSHAKE_DEADLINE))
    except OSError as error:
        raise unreachable(place, error) from None
    try:
        introduce(connection, authkey, str(place))
    except OSError as error:
        connection.close()
        raise unreachable(place, error) from None
    except BaseException:
        connection.close()
        raise
    return connection


def unreachable(address: Address, error: BaseException) -> Unreachable:
    """The error for a manager that does not answer, with what to do."""
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Unreachable(
        f"cannot reach the manager at {address} ({why.lower()})",
        hint='start one with "qmanager", or name another by QM_RPC',
    )


class Channels:
    """A pool of connections to one manager. Thread-safe; a forked child dials its own."""

    def __init__(
        self, address: Address, authkey: bytes, make: Callable[[Any, bytes], Connection] = dial
    ) -> None:
        self.address = address
        self._authkey = authkey
        self._dial = make
        self._rids = itertools.count(1)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._idle: list[Connection] = []

    def call(self, target: str, verb: str, args: bytes, timeout: float) -> bytes:
        """The packed answer. Raises what the manager says, `TimedOut`, or `Unreachable` where the connection
        was lost (the call may have been carried out)."""
        connection = self._borrow()
        try:
            answer = self._exchange(connection, target, verb, args, timeout)
        except (EOFError, OSError, WireError) as error:
            connection.close()
            if isinstance(error, TimeoutError) and error.errno is None:  # ours; the kernel's have a number
                raise TimedOut(f"{verb}: no answer from {self.address} within {timeout:g} s") from None
            self.close()  # the manager is gone or restarted: its other connections are dead too
            raise unreachable(self.address, error) from None
        except QueueError:  # an answer like any other: the connection is in step
            self._give_back(connection)
            raise
        except BaseException:  # interrupted between question and answer: never use it again
            connection.close()
            raise
        self._give_back(connection)
        return answer

    def close(self) -> None:
        """Closes the idle connections."""
        self._forget_after_fork()
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _exchange(self, connection: Connection, target: str, verb: str, args: bytes, timeout: float) -> bytes:
        rid = next(self._rids)
        connection.send_frame(envelope(Request(rid, target, verb, args)), timeout)
        reply = decode_reply(connection.recv_frame(timeout))
        if reply.rid != rid:
            raise WireError("an answer to another call")
        if not reply.ok:
            raise decode_error(reply.body)
        return reply.body

    def _borrow(self) -> Connection:
        self._forget_after_fork()
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._dial(self.address, self._authkey)

    def _give_back(self, connection: Connection) -> None:
        self._forget_after_fork()
        with self._lock:
            if len(self._idle) < _IDLE_MAX:
                self._idle.append(connection)
                return
        connection.close()

    def _forget_after_fork(self) -> None:
        """The parent's connections are the parent's: two processes on one would read each other's answers."""
        if os.getpid() != self._pid:
            self._lock = threading.Lock()
            self._idle = []
            self._pid = os.getpid()  # last: a second thread must not pass before the rest is done


class Proxy(BaseProxy):
    """A served object, by its fixed id. Its methods are those of its Protocol, and nothing else."""

    _signatures: ClassVar[dict[str, Signature]]

    def __init__(self, channels: Channels, target: str) -> None:
        token = Token(target, channels.address, target)
        super().__init__(token, SERIALIZER, authkey=b"", incref=False)
        self._channels = channels
        self._target = target

    def _callmethod(self, methodname: str, args: Any = (), kwds: Any = None) -> Any:
        signature = self._signatures[methodname]
        arguments: Any = signature.arguments(*args, **(kwds or {}))
        timeout = CALL_TIMEOUT
        if signature.waits:
            timeout += max(0.0, min(WAIT_MAX, arguments.wait))  # the manager does not wait longer either
        try:
            packed = encode(arguments)
        except (TypeError, ValueError, OverflowError) as error:  # an object, 2**70, a lone surrogate
            raise BadRequest(f"{methodname}: {error}") from None
        answer = self._channels.call(self._target, methodname, packed, timeout)
        try:
            return signature.decode_answer(answer)
        except WireError as error:
            hint = "it may be of another version"
            raise QueueError(f"{methodname}: cannot read the manager's answer ({error})", hint) from None

    def __str__(self) -> str:
        """As repr: the standard library asks the server."""
        return repr(self)

    def _after_fork(self) -> None:
        """Nothing is counted on the server, so there is nothing to count again."""

    def __reduce__(self) -> Any:
        raise TypeError("a proxy belongs to its process: give the other one the address and the key")


P = TypeVar("P", bound=type[Proxy])


def _forwarding(signatures: dict[str, Signature]) -> Callable[[P], P]:
    """Gives a proxy class one forwarding method per verb of its Protocol."""

    def forward(verb: str) -> Callable[..., Any]:
        def method(self: Proxy, *args: Any, **kwds: Any) -> Any:
            return self._callmethod(verb, args, kwds)

        method.__name__ = verb
        return method

    def decorate(cls: P) -> P:
        cls._signatures = signatures
        cls._exposed_ = tuple(signatures)  # type: ignore[attr-defined]
        for verb in signatures:
            setattr(cls, verb, forward(verb))
        return cls

    return decorate


@_forwarding(QUEUE)
class QueueProxy(Proxy):
    """The object `queue`: see `qm.wire.verbs.QueueVerbs`."""


@_forwarding(VIEW)
class ViewProxy(Proxy):
    """The objects `wait`, `progress` and `done`: see `qm.wire.verbs.ViewVerbs`."""


class Remote(BaseManager):
    """A manager somewhere else.

    >>> remote = Remote(("127.0.0.1", 8090), authkey=key)
    >>> remote.connect()
    >>> remote.done().count()
    """

    def __init__(self, address: Any, authkey: bytes) -> None:
        check_key(authkey)
        super().__init__(address=address, authkey=authkey, serializer=SERIALIZER)
        self._channels = Channels(Address(*address), authkey)

    def connect(self) -> None:
        """Checks that the manager is there and knows our key. Raises `Unreachable`, `AuthFailed`."""
        self.done().count()

    def start(self, *args: Any, **kwds: Any) -> None:
        """Not offered: a manager forked or spawned from here would outlive us and share what we hold."""
        raise TypeError("run QueueManager(...).get_server().serve_forever() in the manager's own process")

    def queue(self) -> QueueVerbs:
        """The task queue."""
        return cast(QueueVerbs, self.proxy("queue"))

    def wait(self) -> ViewVerbs:
        """The tasks that wait."""
        return cast(ViewVerbs, self.proxy("wait"))

    def progress(self) -> ViewVerbs:
        """The tasks that run."""
        return cast(ViewVerbs, self.proxy("progress"))

    def done(self) -> ViewVerbs:
        """The tasks that ended."""
        return cast(ViewVerbs, self.proxy("done"))

    def proxy(self, typeid: str) -> Proxy:
        """The served object with this fixed id."""
        return self._registry[typeid][-1](self._channels, typeid)  # type: ignore[attr-defined, no-any-return]

    def close(self) -> None:
        """Closes the connections."""
        self._channels.close()


# The standard library's own seam for another protocol; the only place where we touch its table.
listener_client[SERIALIZER] = (Listener, dial)

for _typeid, _verbs in OBJECTS.items():
    _proxy = QueueProxy if _verbs is QUEUE else ViewProxy
    Remote.register(_typeid, proxytype=_proxy, exposed=tuple(_verbs), create_method=False)
