"""What is known of one task, and what is wrong with that. Pure; the words are those of the oracle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from msgspec import Struct, field

from qm.messages import Verdict
from qm.simulator.chaos.claims import Claims
from qm.simulator.chaos.journal import (
    Added,
    Adding,
    Claimed,
    Computed,
    Crashed,
    Left,
    Missing,
    Raised,
    Read,
    Refused,
    Settled,
    Started,
    Unanswered,
)
from qm.task import ENDED, State

#: Recorded deaths of its worker after which a task may be parked. Said here again on purpose: an oracle that
#: took over the number it checks would follow it anywhere.
STRIKES: Final = 3


#: Attempts of one task. A fault costs it one, by its worker, its manager or an answer; and it is done within
#: seconds, while faults come by the second.
_ATTEMPTS_MAX: Final = 100


class Complaint(NamedTuple):
    """What is wrong with a task: one of the oracle's words, and more of them."""

    kind: str
    words: str


class Story(Struct):
    """One task. `hear` takes in events in any order."""

    attempted: bool = False
    acked: bool = False
    refused: bool = False
    unanswered: bool = False
    #: A client was told that it is not there.
    missing: bool = False
    #: How its end was first told to a client, and whether it was told otherwise later.
    read: Read | None = None
    changed: bool = False
    claims: Claims = field(default_factory=Claims)
    #: Digests of what was computed, by attempt.
    computed: dict[int, set[str]] = field(default_factory=dict)
    raised: set[int] = field(default_factory=set)
    #: Leases under which an end of the task was accepted, and by which verb.
    ends: dict[tuple[int, int], str] = field(default_factory=dict)
    left: Left | None = None

    @property
    def failed_on_purpose(self) -> bool:
        """Whether it failed as its producer wanted."""
        return self.left is not None and self.left.state is State.FAILED and self.left.attempt in self.raised

    @property
    def is_parked(self) -> bool:
        """Whether it failed otherwise."""
        return self.left is not None and self.left.state is State.FAILED and not self.failed_on_purpose

    @property
    def is_queued(self) -> bool:
        """Whether it has not ended."""
        return self.left is not None and self.left.state not in ENDED

    def hear_of_add(self, event: Adding | Added | Refused | Unanswered) -> None:
        """Takes in what a producer was told of its add."""
        match event:
            case Adding():
                self.attempted = True
            case Added():
                self.acked = True
            case Refused():
                self.refused = True
            case Unanswered():
                self.unanswered = True

    def hear(self, event: Read | Missing | Claimed | Started | Computed | Raised | Settled | Left) -> None:
        """Takes in anything else."""
        match event:
            case Read():
                self.changed = self.changed or (self.read is not None and _differ(self.read, event))
                self.read = self.read or event
            case Missing():
                self.missing = True
            case Claimed() | Started():
                self.claims.hear(event)
            case Computed(attempt=attempt, output=output):
                self.computed.setdefault(attempt, set()).add(output)
            case Raised(attempt=attempt):
                self.raised.add(attempt)
            case Settled():
                # `repeated` says that it was accepted before
                if event.ends and event.verdict is not Verdict.LOST:
                    self.ends[event.attempt, event.token] = event.verb
            case Left():
                self.left = event

    def complaints(self, crashes: Sequence[Crashed] = ()) -> Iterator[Complaint]:
        """All that is wrong with it. `crashes`: those of the database."""
        for words in self.claims.wrong(crashes, self.left):
            yield Complaint("claimed twice", words)
        yield from self._lost()
        yield from self._twice()
        if self.left is not None:
            yield from self._unexpected(self.left)
            yield from self._not_ended_well(self.left)

    def _lost(self) -> Iterator[Complaint]:
        accepted = set(self.ends.values())
        if self.left is None:
            if self.acked:
                yield Complaint("lost", "its add was acknowledged, and it is not there")
            elif self.read or accepted:
                yield Complaint("lost", "it was read or settled, and it is not there")
        elif self.acked and self.missing:  # what is acknowledged is there from then on, not only at the end
            yield Complaint("lost", "its add was acknowledged, and a client was told that it is not there")
        elif "finish" in accepted and self.left.state is not State.DONE:
            yield Complaint("lost", f"its result was accepted, and it is {self.left.state.value}")
        elif accepted and self.left.state not in ENDED:
            yield Complaint("lost", f"its failure was accepted, and it is {self.left.state.value}")

    def _twice(self) -> Iterator[Complaint]:
        attempts = sorted(attempt for attempt, _ in self.ends)
        ended_by = self.left.attempt if self.left is not None and self.left.state in ENDED else None
        if len(attempts) > 1:
            yield Complaint("finished twice", f"an end was accepted in attempts {attempts}, each")
        elif attempts and ended_by is not None and ended_by not in attempts:
            words = f"the end of attempt {attempts[0]} was accepted, and attempt {ended_by} ended it"
            yield Complaint("finished twice", words)
        if self.changed or (self.read and self.left and _differ(self.read, self.left)):
            yield Complaint("finished twice", "its result changed after it was read")

    def _unexpected(self, left: Left) -> Iterator[Complaint]:
        if not self.attempted:
            yield Complaint("unexpected", "nobody added it")
        elif self.refused and not self.acked and not self.unanswered:
            yield Complaint("unexpected", "its add was refused, and it is there")
        elif left.state is State.CANCELLED:
            yield Complaint("unexpected", "it is cancelled, and nobody did that")
        elif left.state is State.DONE and left.output not in self.computed.get(left.attempt, ()):
            yield Complaint("unexpected", f"its result is none that attempt {left.attempt} computed")

    def _not_ended_well(self, left: Left) -> Iterator[Complaint]:
        if self.is_parked and left.strikes < STRIKES:
            why = left.reason or "no reason"
            yield Complaint("parked wrongly", f"{why}, with {left.strikes} recorded strikes")
        if left.attempt > _ATTEMPTS_MAX:
            yield Complaint("given in vain", f"{left.attempt} times")
        if self.is_queued:
            yield Complaint("still queued", f"{left.state.value} in attempt {left.attempt}")


def _differ(first: Read, second: Read | Left) -> bool:
    names = ("state", "attempt", "ended", "output")
    return any(getattr(first, name) != getattr(second, name) for name in names)
