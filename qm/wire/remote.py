"""The client's end: a `BaseManager` that makes nothing on the server and trusts nothing it sends.

The standard library's manager asks the server which methods an object has and builds a class from the answer.
Here proxies are static; their calls go over `qm.wire.channels`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from multiprocessing.managers import (  # type: ignore[attr-defined]
    BaseManager,
    BaseProxy,
    Token,
    listener_client,
)
from typing import Any, ClassVar, Final, TypeVar, cast

from qm.errors import BadRequest, QueueError
from qm.limits import WAIT_MAX
from qm.wire.address import Address
from qm.wire.auth import check_key
from qm.wire.channels import Channels, Dial, Route, dial, dialler, unreachable
from qm.wire.codec import encode
from qm.wire.failover import Failover
from qm.wire.following import Following
from qm.wire.frames import WireError
from qm.wire.listener import Listener
from qm.wire.verbs import OBJECTS, QUEUE, VIEW, QueueVerbs, Signature, ViewVerbs

__all__ = [
    "CALL_TIMEOUT",
    "SERIALIZER",
    "Channels",
    "Proxy",
    "QueueProxy",
    "Remote",
    "ViewProxy",
    "dial",
    "unreachable",
]

#: The name of our pair of Listener and Client among the standard library's serializers.
SERIALIZER: Final = "qm"

#: Seconds until a call that does not wait must be answered.
CALL_TIMEOUT: Final = 30.0


class Proxy(BaseProxy):
    """A served object, by its fixed id. Its methods are those of its Protocol, and nothing else."""

    _signatures: ClassVar[dict[str, Signature]]

    def __init__(self, channels: Route, target: str) -> None:
        token = Token(target, channels.address, target)
        super().__init__(token, SERIALIZER, authkey=b"", incref=False)
        self._channels = channels
        self._target = target

    def _callmethod(self, methodname: str, args: Any = (), kwds: Any = None) -> Any:
        signature = self._signatures[methodname]
        arguments: Any = signature.arguments(*args, **(kwds or {}))
        timeout = CALL_TIMEOUT
        waits = signature.waits and arguments.wait != 0
        if waits:
            timeout += max(0.0, min(WAIT_MAX, arguments.wait))  # the manager does not wait longer either
        try:
            packed = encode(arguments)
        except (TypeError, ValueError, OverflowError) as error:  # an object, 2**70, a lone surrogate
            raise BadRequest(f"{methodname}: {error}") from None
        answer = self._channels.call(self._target, methodname, packed, timeout, waits)
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

    def __init__(
        self,
        address: Any,
        authkey: bytes,
        tls: str = "",
        *,
        others: Sequence[Address] = (),
        which: Callable[[], int] | None = None,
    ) -> None:
        """`tls`: how to know the manager, see `qm.wire.trust`; "" is without TLS. `others`: further managers
        of the same queue; one of all is called at a time, see `qm.wire.failover`. `which`: its place among
        them, where somebody else has chosen it. Raises `BadRequest`."""
        check_key(authkey)
        super().__init__(address=address, authkey=authkey, serializer=SERIALIZER)
        self._addresses = (Address(*address), *others)
        self._channels = self._route(authkey, dialler(tls), which)

    @property
    def called(self) -> Address:
        """The manager that is called now."""
        return self._channels.address

    @property
    def place(self) -> int:
        """Its place among the addresses, the first of which is 0."""
        return self._addresses.index(self.called)

    def when_moved(self, tell: Callable[[int], object]) -> None:
        """From now on `tell` hears the place of each other manager that is called, before it is."""
        if isinstance(self._channels, Failover):
            self._channels.tell = tell

    def connect(self) -> None:
        """Checks that the manager is there and knows our key. Raises `Unreachable`, `AuthFailed`."""
        self.queue().status()

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

    def _route(self, authkey: bytes, dial: Dial, which: Callable[[], int] | None) -> Route:
        """Who knows one manager pays nothing for those who know several."""
        if len(self._addresses) == 1:
            return Channels(self._addresses[0], authkey, dial)
        if which is not None:
            return Following(self._addresses, authkey, dial, which)
        return Failover(self._addresses, authkey, dial)


# The standard library's own seam for another protocol; the only place where we touch its table.
listener_client[SERIALIZER] = (Listener, dial)

for _typeid, _verbs in OBJECTS.items():
    _proxy = QueueProxy if _verbs is QUEUE else ViewProxy
    Remote.register(_typeid, proxytype=_proxy, exposed=tuple(_verbs), create_method=False)
