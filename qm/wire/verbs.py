"""What can be called on 8090: the objects, their verbs, and how arguments and answers are packed.

The annotations below are the protocol: decoders are made from them, so a peer's bytes either become exactly
these types or are refused. Lists in, lists out; the client adds the singular.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Annotated, Any, Final, Protocol, get_origin, get_type_hints

import msgspec

from qm.limits import ITEMS_MAX
from qm.messages import (
    Added,
    Attached,
    Claim,
    Crash,
    Exchanged,
    Fail,
    Finish,
    Got,
    ListQuery,
    NewTask,
    Orders,
    PackedPage,
    Progress,
    Release,
    Retry,
    Settlement,
    Status,
    Taken,
    Verdict,
    WorkerInfo,
)
from qm.task import Lease, PackedAttempt, State
from qm.wire.codec import decode
from qm.wire.roles import Role


class QueueVerbs(Protocol):
    """The object `queue`. Meanings and errors: see `qm.client.Client`, which has a method for each."""

    def add(self, tasks: Sequence[NewTask]) -> Added: ...
    def get(self, ids: Sequence[str], wait: float = 0) -> Got: ...
    def list(self, query: ListQuery) -> PackedPage: ...
    def attempts(self, id: str, before: int | None = None) -> Sequence[PackedAttempt]: ...
    def status(self) -> Status: ...
    def cancel(self, ids: Sequence[str]) -> Sequence[State | None]: ...
    def requeue(self, ids: Sequence[str]) -> Sequence[State | None]: ...
    def forget(self, ids: Sequence[str]) -> Sequence[State | None]: ...
    def attach(self, worker: WorkerInfo) -> Attached: ...
    def renew(
        self, session: str, wait: float = 0, draining: bool = False, heard: Sequence[Lease] = ()
    ) -> Orders: ...
    def detach(self, session: str) -> None: ...
    def crashed(self, crash: Crash) -> None: ...
    def take(self, claim: Claim, wait: float = 0) -> Sequence[Taken]: ...
    def exchange(self, claim: Claim, settlements: Sequence[Settlement], wait: float = 0) -> Exchanged: ...
    def finish(self, items: Sequence[Finish]) -> Sequence[Verdict]: ...
    def fail(self, items: Sequence[Fail]) -> Sequence[Verdict]: ...
    def retry(self, items: Sequence[Retry]) -> Sequence[Verdict]: ...
    def release(self, items: Sequence[Release]) -> Sequence[Verdict]: ...
    def progress(self, items: Sequence[Progress]) -> Sequence[Verdict]: ...


class ViewVerbs(Protocol):
    """The objects `wait`, `progress` and `done`: the state stores, read only."""

    def count(self) -> int: ...
    def list(self, limit: int = 50, cursor: str | None = None, type: str | None = None) -> PackedPage: ...
    def get(self, ids: Sequence[str]) -> Got: ...


class Signature:
    """How one verb's arguments and answer are packed."""

    def __init__(self, verb: str, function: Any) -> None:
        parameters = list(inspect.signature(function).parameters.values())[1:]
        hints = {name: _bounded(hint) for name, hint in get_type_hints(function).items()}
        fields = [
            (p.name, hints[p.name]) if p.default is p.empty else (p.name, hints[p.name], p.default)
            for p in parameters
        ]
        # an array with defaults: a peer of an older version may leave out what it does not know yet
        #: The verb's arguments as a struct: called as the verb is, it raises TypeError as a function would.
        self.arguments = msgspec.defstruct(f"{verb}_arguments", fields, array_like=True)
        self._arguments: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(self.arguments)
        self._answer: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(hints["return"])
        self.names = tuple(p.name for p in parameters)
        #: Whether the call may block for its argument `wait`.
        self.waits = "wait" in self.names

    def decode_arguments(self, packed: bytes) -> list[Any]:
        """Raises `WireError` for anything but the annotated types."""
        arguments = decode(self._arguments, packed)
        return [getattr(arguments, name) for name in self.names]

    def decode_answer(self, packed: bytes) -> Any:
        """Raises as `decode_arguments`."""
        return decode(self._answer, packed)


def _bounded(hint: Any) -> Any:
    """A list with its bound: it is counted before it is made into objects."""
    return Annotated[hint, msgspec.Meta(max_length=ITEMS_MAX)] if get_origin(hint) is Sequence else hint


def _signatures(verbs: type) -> dict[str, Signature]:
    names = [name for name in vars(verbs) if not name.startswith("_")]
    return {name: Signature(name, getattr(verbs, name)) for name in names}


QUEUE: Final = _signatures(QueueVerbs)
VIEW: Final = _signatures(ViewVerbs)

#: The served objects by their fixed ids.
OBJECTS: Final = {"queue": QUEUE, "wait": VIEW, "progress": VIEW, "done": VIEW}

_OPERATORS: Final = frozenset({Role.OPERATOR})
_CLIENTS: Final = frozenset({Role.CLIENT, Role.OPERATOR})
_WORKERS: Final = frozenset({Role.WORKER, Role.OPERATOR})

#: Whose keys may call what of `queue`. What is not here, an operator alone may.
_QUEUE_ROLES: Final = {
    **dict.fromkeys(("add", "list", "attempts", "cancel", "forget"), _CLIENTS),
    **dict.fromkeys(("attach", "renew", "detach", "crashed", "take", "exchange"), _WORKERS),
    **dict.fromkeys(("finish", "fail", "retry", "release", "progress"), _WORKERS),
    **dict.fromkeys(("get", "status"), _CLIENTS | _WORKERS),
}

#: ... and of the views.
_VIEW_ROLES: Final = dict.fromkeys(VIEW, _CLIENTS)

_ROLES: Final = {"queue": _QUEUE_ROLES, "wait": _VIEW_ROLES, "progress": _VIEW_ROLES, "done": _VIEW_ROLES}


def roles(target: str, verb: str) -> frozenset[Role]:
    """Whose keys may call a verb of a served object."""
    return _ROLES.get(target, {}).get(verb, _OPERATORS)
