"""The judgement, pure: what everybody was told goes in, what became of it comes out.

*lost*            an acknowledged add, or a task that a client has read, is not there at the end, or was not
                  when a client asked; or a settlement that was accepted left no trace.
*finished twice*  ends of two attempts of a task were accepted, or of another attempt than the one that ended
                  it; or a result changed after it was first read.
*claimed twice*   two workers had one claim to a task, or one was given before the last had ended: see
                  `qm.simulator.chaos.claims`, also for what a crash of the database may undo.
*unexpected*      a task that nobody added, one whose add was refused, one that was cancelled, or a result
                  that no worker computed in the attempt that it is told of.
*recovered*       an add without an answer that did happen. No fault: the client may send it again.
*parked*          failed although its code did not fail: legal only after three recorded strikes.
*given in vain*   taken more often than any number of faults explains: somebody takes it and does not run it.
*still queued*    not ended, though the faults are over and the queue had time to drain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct, field

from qm.simulator.chaos.journal import (
    Added,
    Adding,
    Crashed,
    Death,
    Event,
    Fault,
    Refused,
    Settled,
    Unanswered,
)
from qm.simulator.chaos.story import Story
from qm.task import State

#: Complaints kept in words of each kind: enough to see what it is about.
COMPLAINTS_MAX: Final = 10


class Findings(Struct, kw_only=True):
    """What became of a run. The numbers count tasks; the counters say themselves what they count."""

    attempted: int = 0
    acked: int = 0
    done: int = 0
    #: Failed as its producer wanted.
    failed: int = 0
    lost: int = 0
    twice: int = 0
    #: Leases that the managers gave to workers.
    claims: int = 0
    doubled: int = 0
    #: Leases that a crash of the database forgot.
    undone: int = 0
    unexpected: int = 0
    recovered: int = 0
    parked: int = 0
    #: Of those, the ones without three recorded strikes.
    unfounded: int = 0
    vain: int = 0
    queued: int = 0
    #: Begun more than once, which is allowed.
    repeated: int = 0
    #: Settlements by the manager's answer.
    verdicts: Counter[str] = field(default_factory=Counter)
    #: What was done to processes and connections.
    faults: Counter[str] = field(default_factory=Counter)
    #: Processes that ended unasked.
    deaths: Counter[str] = field(default_factory=Counter)
    #: Adds that raised, by the error.
    errors: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong, and there was anything at all."""
        return not self.complaints and self.acked > 0

    def __str__(self) -> str:
        return (
            f"audit: attempted {self.attempted}, acked {self.acked}, lost {self.lost}, "
            f"finished twice {self.twice}, unexpected {self.unexpected}, recovered {self.recovered}, "
            f"parked {self.parked}, still queued {self.queued}"
        )


def judge(events: Iterable[Event]) -> Findings:
    """What the journals say; the events may be in any order."""
    found = Findings()
    stories: dict[str, Story] = {}
    crashes: list[Crashed] = []
    for event in events:
        _take_in(event, stories, crashes, found)
    said: Counter[str] = Counter()
    for id_, story in stories.items():
        _count(story, found, crashes)
        for kind, words in story.complaints(crashes):
            said[kind] += 1
            if said[kind] <= COMPLAINTS_MAX:
                found.complaints.append(f"{kind}: task {id_}: {words}")
    found.complaints += [f"died by itself: {name}, {number} times" for name, number in found.deaths.items()]
    return found


def _take_in(event: Event, stories: dict[str, Story], crashes: list[Crashed], found: Findings) -> None:
    match event:
        case Adding() | Added() | Refused() | Unanswered():
            if isinstance(event, (Refused, Unanswered)):
                found.errors[event.error] += 1
            for id_ in event.ids:
                stories.setdefault(id_, Story()).hear_of_add(event)
        case Fault():
            found.faults[event.what] += 1
        case Crashed():
            crashes.append(event)
        case Death():
            found.deaths[f"{event.name} with exit code {event.code}"] += 1
        case _:
            if isinstance(event, Settled):
                found.verdicts[event.verdict.value] += 1
            stories.setdefault(event.id, Story()).hear(event)


def _count(story: Story, found: Findings, crashes: Sequence[Crashed]) -> None:
    kinds = {complaint.kind for complaint in story.complaints(crashes)}
    found.attempted += story.attempted
    found.acked += story.acked
    found.repeated += story.claims.started.total() > 1
    found.claims += story.claims.leases
    found.doubled += "claimed twice" in kinds
    found.undone += story.claims.undone(crashes)
    found.lost += "lost" in kinds
    found.twice += "finished twice" in kinds
    found.unexpected += "unexpected" in kinds
    found.unfounded += "parked wrongly" in kinds
    found.parked += story.is_parked
    found.failed += story.failed_on_purpose
    found.vain += "given in vain" in kinds
    found.queued += story.is_queued
    if story.left is not None:
        found.done += story.left.state is State.DONE
        found.recovered += story.attempted and not story.acked and not story.refused
