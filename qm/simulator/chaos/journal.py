"""Append-only logs of what clients and workers were told: a JSON line an event, written whole by one write.

A line that announces a call is written before the call, one that tells of its end after it. So a writer that
is killed leaves at most a call without an end, of which nothing is concluded. Only processes are killed, not
the machine: what was written needs no sync.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from qm.clock import SystemClock
from qm.messages import Verdict
from qm.task import State

_SUFFIX: Final = ".jsonl"


class Adding(Struct, frozen=True, tag_field="did", tag="adding"):
    """A producer is about to add these."""

    ids: list[str]


class Added(Struct, frozen=True, tag_field="did", tag="added"):
    """The add was acknowledged."""

    ids: list[str]


class Refused(Struct, frozen=True, tag_field="did", tag="refused"):
    """The add was refused: it must not have happened."""

    ids: list[str]
    error: str


class Unanswered(Struct, frozen=True, tag_field="did", tag="unanswered"):
    """No answer to the add: it may have happened or not."""

    ids: list[str]
    error: str


class Read(Struct, frozen=True, tag_field="did", tag="read"):
    """A producer was told that a task has ended. `output` is a digest."""

    id: str
    state: State
    attempt: int
    ended: float | None
    output: str | None


class Missing(Struct, frozen=True, tag_field="did", tag="missing"):
    """A producer was told that there is no such task."""

    id: str


class Claimed(Struct, frozen=True, tag_field="did", tag="claimed"):
    """A manager gave a lease to a worker. `slot` names the worker; `asked` and `answered` say between which
    moments, on the machine's monotonic clock, it was given."""

    id: str
    attempt: int
    token: int
    slot: str
    asked: float
    answered: float


class Started(Struct, frozen=True, tag_field="did", tag="started"):
    """User code begins."""

    id: str
    attempt: int


class Computed(Struct, frozen=True, tag_field="did", tag="computed"):
    """User code is about to return this output (a digest)."""

    id: str
    attempt: int
    output: str


class Raised(Struct, frozen=True, tag_field="did", tag="raised"):
    """User code is about to fail for good, as its producer wanted."""

    id: str
    attempt: int


class Settled(Struct, frozen=True, tag_field="did", tag="settled"):
    """The manager answered a settlement. `ends`: it ends the task, if it counts."""

    verb: Literal["finish", "fail", "retry", "release"]
    id: str
    attempt: int
    token: int
    verdict: Verdict
    ends: bool = False


class Left(Struct, frozen=True, kw_only=True, tag_field="did", tag="left"):
    """A task as it stands at the end. `strikes`: recorded attempts that took their worker with them."""

    id: str
    state: State
    attempt: int
    ended: float | None = None
    output: str | None = None
    reason: str | None = None
    strikes: int = 0
    #: How many attempts have a recorded end; of a task that was taken once, nobody asks.
    recorded: int | None = None


class Fault(Struct, frozen=True, tag_field="did", tag="fault"):
    """The director did something. For people, and for the figures."""

    what: str


class Crashed(Struct, frozen=True, tag_field="did", tag="crashed"):
    """The database crashed and came back, between these moments on the machine's monotonic clock."""

    began: float
    ended: float


class Death(Struct, frozen=True, tag_field="did", tag="death"):
    """A process ended that nobody had killed."""

    name: str
    code: int


Event: TypeAlias = (
    Adding
    | Added
    | Refused
    | Unanswered
    | Read
    | Missing
    | Claimed
    | Started
    | Computed
    | Raised
    | Settled
    | Left
    | Fault
    | Crashed
    | Death
)


class Entry(Struct, frozen=True):
    """A line: an event, and when it was written, on the machine's monotonic clock."""

    at: float
    event: Event


class Journal:
    """One writer's log. Thread-safe: a line is one write to a file opened for appending."""

    def __init__(self, folder: Path, name: str) -> None:
        """A new file in `folder`; `name` says who writes."""
        # the random part: pids come again, and a line that was cut short must stay the last of its file
        path = folder / f"{name}-{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._clock = SystemClock()

    def write(self, *events: Event) -> None:
        """Writes events, in order. Raises OSError."""
        if events:
            now = round(self._clock.monotonic(), 6)
            os.write(self._file, b"".join(_encoder.encode(Entry(now, e)) + b"\n" for e in events))

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Entry)


def read_journals(folder: Path) -> Iterator[Entry]:
    """All entries of the logs in `folder`, in order within each.

    A last line without its end is left out: its writer was killed in it, before the call that it announces.
    """
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        with path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield _decoder.decode(line)
