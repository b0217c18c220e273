"""The verbs, with and without `await`: what is said to the database is the same."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import asdict

from qm.checks import check_added, check_new
from qm.client.payload_keys import find_payload_keys, keyring_of
from qm.client.producing import conflict
from qm.client.sealed import seal_new, under
from qm.client.tasks import chunks, new_task
from qm.errors import BadRequest
from qm.messages import AddStatus, NewTask
from qm.postgres.calling import call, call_async
from qm.postgres.ways import find_async_way, find_way
from qm.sealing import Keyring, PayloadKeys

#: Gives what is to be said to the database next, is sent a status for each task, and returns the ids.
_Talk: TypeAlias = Generator[Sequence[NewTask], Sequence[str], list[str]]


def add(connection: Any, /, type: str, input: Any = None, *, notify: bool = True, **options: Any) -> str:
    """Adds a task in the transaction of `connection` and gives its id. `options` as `qm.new_task`.

    `notify`: your commit tells the managers (NOTIFY); without it they find the task within a second. Where
    another transaction that is still open has added the same id, this waits for its end.

    Raises `IdConflict` where the id belongs to another task, `BadRequest` and what `new_task` raises,
    `StoreError` where the database has no queue, `NotAllowed` where its role may not add. Whatever else the
    database says comes as the driver's own error. After an error of the database your transaction can only be
    rolled back, as ever; `IdConflict` and bad input leave it as it was.
    """
    return add_many(connection, [new_task(type, input, **options)], notify=notify)[0]


def add_many(connection: Any, /, tasks: Iterable[NewTask], *, notify: bool = True) -> list[str]:
    """Adds tasks made by `new_task`, up to 500 in a statement, and gives their ids in order. As `add`; when
    it raises `IdConflict`, the other tasks of that statement and of those before are added if you commit."""
    way = find_way(connection)
    ids: list[str] = []
    for chunk in chunks(tasks, lambda task: len(task.input)):
        talk = _talk(chunk)
        try:
            said = next(talk)
            while True:
                said = talk.send(call(way, said, notify))
        except StopIteration as end:
            ids += end.value
    return ids


async def add_async(
    connection: Any, /, type: str, input: Any = None, *, notify: bool = True, **options: Any
) -> str:
    """As `add`, for an asynchronous connection or cursor of psycopg 3."""
    return (await add_many_async(connection, [new_task(type, input, **options)], notify=notify))[0]


async def add_many_async(connection: Any, /, tasks: Iterable[NewTask], *, notify: bool = True) -> list[str]:
    """As `add_many`, for an asynchronous connection or cursor of psycopg 3."""
    way = find_async_way(connection)
    ids: list[str] = []
    for chunk in chunks(tasks, lambda task: len(task.input)):
        talk = _talk(chunk)
        try:
            said = next(talk)
            while True:
                said = talk.send(await call_async(way, said, notify))
        except StopIteration as end:
            ids += end.value
    return ids


def _talk(tasks: Sequence[NewTask]) -> _Talk:
    """With payload keys, an id that is there already is compared under each: it may be from before a
    rotation."""
    for task in tasks:
        _check(task)
    keyring = _keyring(find_payload_keys())
    sealed = tasks if keyring is None else [seal_new(keyring, task) for task in tasks]
    statuses = yield sealed
    conflicts = [n for n, status in enumerate(statuses) if status == AddStatus.CONFLICT]
    for older in range(1, keyring.size) if keyring is not None else ():
        if conflicts and keyring is not None:
            again = yield [under(keyring, older, tasks[n], sealed[n]) for n in conflicts]
            conflicts = [n for n, s in zip(conflicts, again, strict=True) if s == AddStatus.CONFLICT]
    if conflicts:
        raise conflict([tasks[n].id for n in conflicts])
    return [task.id for task in tasks]


def _check(task: NewTask) -> None:
    """Before the database is asked: an error of its own would end the user's transaction."""
    try:
        msgspec.convert(asdict(task), NewTask)
    except msgspec.ValidationError as error:
        raise BadRequest(f"task {task.id} cannot be added: {error}") from None
    check_added(task)
    check_new(task)


@lru_cache(maxsize=4)
def _keyring(keys: PayloadKeys) -> Keyring | None:
    return keyring_of(keys)
