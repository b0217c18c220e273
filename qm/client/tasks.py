"""Tasks on their way in and out: values here, packed bytes on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from msgspec.structs import asdict

from qm.errors import BadPayload, BadRequest
from qm.ids import new_id
from qm.limits import ADD_BYTES, ADD_CHUNK
from qm.messages import NewTask
from qm.payload import digest, pack, show_text, unopened, unpack, unpack_failure
from qm.task import Attempt, PackedAttempt, PackedTask, Task, is_id, is_type

T = TypeVar("T")


def new_task(
    type: str,
    input: Any = None,
    *,
    id: str | None = None,
    priority: int = 0,
    delay: float = 0.0,
    attempts: int | None = None,
    timeout: float | None = None,
    keep: float | None = None,
) -> NewTask:
    """A task for `Client.add_many`. Its id is made here, before the first try, so a resend is always safe.

    `input` is anything msgpack carries. `id`: your own, 1 to 64 characters of ``A-Za-z0-9._:-``, makes the
    add idempotent across programs. `priority`: -32768 to 32767, higher first. `delay`: seconds until it may
    run. `attempts`, `timeout` (seconds per attempt) and `keep` (seconds after its end) stand instead of the
    type's own.

    Raises `BadPayload`, `TooLarge`, `BadRequest`.
    """
    if id is not None and not is_id(id):
        raise BadRequest(f"{id[:80]!r} cannot be an id: 1 to 64 characters of A-Z a-z 0-9 . _ : -")
    if not is_type(type):
        raise BadRequest(
            f"{type[:80]!r} cannot be a type: 1 to 64 characters of A-Z a-z 0-9 . _ : - "
            "and the first of them a letter, a digit or _"
        )
    packed = pack(input)
    return NewTask(
        id=id or new_id(),
        type=type,
        input=packed,
        digest=digest(type, packed),
        priority=priority,
        delay=delay,
        attempts=attempts,
        timeout=timeout,
        keep=keep,
    )


def chunks(items: Iterable[T], weigh: Callable[[T], int]) -> Iterator[list[T]]:
    """Frames of a bulk call: bounded by count and by bytes of payload, whatever the length of `items`."""
    chunk: list[T] = []
    size = 0
    for item in items:
        weight = weigh(item)
        if chunk and (len(chunk) == ADD_CHUNK or size + weight > ADD_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += weight
    if chunk:
        yield chunk


def unpack_task(packed: PackedTask) -> Task:
    """A task with values. A payload that a list left out for its size is None; its size is told. One that
    was not packed by us stays as the bytes it is, so that it hides nothing else; for one that is sealed, and
    no key here opens it, there is an `Unopened`."""
    fields = asdict(packed)
    fields["input"] = _value(packed.input) if packed.input else None
    fields["output"] = _value(packed.output) if packed.output is not None else None
    fields["error"] = unpack_failure(packed.error) if packed.error is not None else None
    fields["note"] = show_text(packed.note) if packed.note else packed.note
    return Task(**fields)


def unpack_attempt(packed: PackedAttempt) -> Attempt:
    """An attempt with its error as a `Failure`."""
    fields = asdict(packed)
    fields["error"] = unpack_failure(packed.error) if packed.error else None
    fields["log"] = show_text(packed.log)
    return Attempt(**fields)


def _value(packed: bytes) -> Any:
    try:
        return unpack(packed)
    except BadPayload:
        return unopened(packed) or packed
