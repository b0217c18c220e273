"""What the state machine can say to a store."""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import strategies as st

from qm.messages import Details, NewTask, Slot, TypeOptions, WorkerInfo
from qm.policy.decision import Bury, Cancel
from qm.task import Outcome, State

IDS = [f"t{i}" for i in range(7)]
TYPES = ["mail", "sms"]
SESSIONS = ["s1", "s2"]

#: How to pick leases: of which kind, and which of them.
Picks: TypeAlias = list[tuple[str, int]]

new_tasks = st.builds(
    NewTask,
    id=st.sampled_from(IDS),
    type=st.sampled_from(TYPES),
    input=st.sampled_from([b"", b"in", bytes(5)]),
    digest=st.sampled_from([b"d" * 16, b"d" * 16, b"e" * 16]),
    priority=st.sampled_from([0, 0, 1, -1]),
    delay=st.sampled_from([0.0, 0.0, 0.0, 10.0, 20.0]),
    attempts=st.sampled_from([None, 3]),
    timeout=st.sampled_from([None, 5.0]),
    keep=st.sampled_from([None, 0.0, 15.0]),
)
options = st.builds(
    TypeOptions,
    timeout=st.sampled_from([None, 7.0]),
    attempts=st.sampled_from([None, 2]),
    keep=st.sampled_from([None, 25.0]),
)
workers = st.builds(
    WorkerInfo,
    session=st.sampled_from(SESSIONS),
    host=st.just("alpha"),
    pid=st.just(7),
    processes=st.just(2),
    types=st.dictionaries(st.sampled_from(TYPES), options),
)
slots = st.builds(
    Slot,
    session=st.sampled_from(SESSIONS),
    index=st.sampled_from([0, 1]),
    incarnation=st.sampled_from([1, 2]),
)
some_ids = st.lists(st.sampled_from([*IDS, "unknown"]), min_size=1, max_size=4)
some_types = st.just(TYPES) | st.lists(st.sampled_from(TYPES), max_size=3)
some_states = st.just(tuple(State)) | st.lists(st.sampled_from(State), max_size=7).map(tuple)
keeps = st.sampled_from([0.0, 10.0, 1000.0])
buried = st.builds(Bury, reason=st.sampled_from(["no use", "crashed 3 times"]))
#: What follows a failure: again so many seconds from now, or never.
again_or_never = st.sampled_from([-1.0, 0.0, 0.0, 10.0]) | buried | st.just(Cancel())
errors = st.sampled_from([b"oops", b"again"])
details = st.builds(
    Details, pid=st.just(7), exitcode=st.sampled_from([None, -9]), log=st.sampled_from(["", "so"])
)
outcomes = st.sampled_from([Outcome.CRASHED, Outcome.LOST, Outcome.RELEASED])

#: Which leases a settlement names: mostly some that hold, or one seen before, or none that ever was.
picks = st.lists(
    st.tuples(st.sampled_from(["held", "held", "held", "seen", "forged"]), st.integers(0, 9)),
    min_size=1,
    max_size=3,
)
