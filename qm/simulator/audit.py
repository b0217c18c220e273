"""The judgement, pure: two readings of a task in, a record out; all records in, a verdict out.

What somebody outside can know, and what is concluded from it:

*lost*            the manager had acknowledged the add, and later does not know the task, or its result.
*finished twice*  every task that has ended is read twice, as far apart as the run allows. A second accepted
                  finish overwrites the first: the time of the end or the number of the attempt changes, or
                  the output does (the salt of a bcrypt hash is new each time it is made).
*wrong*           the task is done, with another output than the one computed here.

What it cannot know: whether two finishes were accepted before the first reading, and whether user code ran
more than once, which is allowed and happens when a worker dies. The tasks that were taken more than once are
counted and shown; they are no fault.
"""

from __future__ import annotations

from array import array
from enum import StrEnum
from typing import Final

from msgspec import Struct

from qm.simulator.load import Job
from qm.task import ENDED, State, Task

#: Faults that are kept and shown in words: enough to see the kind, not a screen of the same.
FAULTS_MAX: Final = 10


class End(StrEnum):
    """What became of a task. Each has exactly one."""

    DONE = "done"
    #: Ended without a result: it failed, or somebody cancelled it.
    FAILED = "failed"
    #: The manager does not know it any more.
    LOST = "lost"
    #: It has not ended, and nobody waits for it any longer.
    UNFINISHED = "unfinished"


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one task."""

    id: str
    type: str
    end: End
    twice: bool = False
    wrong: bool = False
    #: How often it was taken by a worker.
    takes: int = 0
    #: From the call of add to the moment its result was in hand; None where there is none.
    seconds: float | None = None
    #: What is wrong with it, in words.
    complaint: str | None = None


def judge(job: Job, id: str, first: Task | None, second: Task | None, seconds: float | None = None) -> Record:
    """The record of a task whose add was acknowledged.

    `first` is the reading that found it ended, `second` a later one; None is a reading that did not find it.
    Where it never ended they are the last ones there are.
    """
    if second is None:
        gone = "its result is gone" if first and first.state in ENDED else "the manager does not know it"
        return Record(id=id, type=job.type, end=End.LOST, complaint=gone)
    if first is None or first.state not in ENDED:
        first = second
    changed = _changed(first, second) if first.state is State.DONE else None
    end, complaint = _end(first if changed else second)
    if end is End.DONE:
        complaint = job.complaint(second.output)
    return Record(
        id=id,
        type=job.type,
        end=end,
        twice=changed is not None,
        wrong=end is End.DONE and complaint is not None,
        takes=second.attempt,
        seconds=seconds if first.state is State.DONE else None,
        complaint=changed or complaint,
    )


def _end(task: Task) -> tuple[End, str | None]:
    match task.state:
        case State.DONE:
            return End.DONE, None
        case State.FAILED | State.CANCELLED:
            return End.FAILED, f"{task.state.value}: {task.error or task.reason or 'no reason given'}"
    return End.UNFINISHED, f"still {task.state.value}"


def _changed(first: Task, second: Task) -> str | None:
    """What is no longer as it was when the task was first seen done; None where all is."""
    for name in ("state", "attempt", "ended", "output"):
        before, after = getattr(first, name), getattr(second, name)
        if before != after or type(before) is not type(after):
            return f"its {name} changed after it was done"
    return None


class Tally:
    """Records added up. `seconds` is in no order."""

    def __init__(self) -> None:
        self.sent = self.done = self.failed = self.unfinished = 0
        self.twice = self.wrong = self.repeated = 0
        self.seconds = array("d")

    def add(self, record: Record) -> None:
        """Counts `record`."""
        self.sent += 1
        self.done += record.end is End.DONE
        self.failed += record.end is End.FAILED
        self.unfinished += record.end is End.UNFINISHED
        self.twice += record.twice
        self.wrong += record.wrong
        self.repeated += record.takes > 1
        if record.seconds is not None:
            self.seconds.append(record.seconds)


class Verdict(Struct, frozen=True, kw_only=True):
    """What became of `sent` acknowledged tasks, and whether that is what was promised."""

    sent: int
    done: int
    lost: int
    twice: int
    failed: int = 0
    wrong: int = 0
    unfinished: int = 0

    @property
    def holds(self) -> bool:
        """Whether each task sent is done once, with the right output."""
        return self.done == self.sent and not (self.lost or self.twice or self.wrong)

    def __str__(self) -> str:
        more = {"failed": self.failed, "wrong": self.wrong, "unfinished": self.unfinished}
        return (
            f"audit: sent {self.sent}, done {self.done}, lost {self.lost}, finished twice {self.twice}"
            + "".join(f", {word} {number}" for word, number in more.items() if number)
        )


class Audit:
    """All records of a run: by type, in all, and the first of those with something wrong."""

    def __init__(self) -> None:
        self.types: dict[str, Tally] = {}
        self.total = Tally()
        self.faults: list[Record] = []

    def add(self, record: Record) -> None:
        """Takes a record in."""
        self.total.add(record)
        self.types.setdefault(record.type, Tally()).add(record)
        if record.complaint is not None and len(self.faults) < FAULTS_MAX:
            self.faults.append(record)

    def verdict(self, sent: int) -> Verdict:
        """The verdict over `sent` acknowledged tasks. One without a record is lost, whoever lost it."""
        total = self.total
        return Verdict(
            sent=sent,
            done=total.done,
            lost=sent - total.done - total.failed - total.unfinished,
            twice=total.twice,
            failed=total.failed,
            wrong=total.wrong,
            unfinished=total.unfinished,
        )
