"""Arguments of the right types and of any values: an answer, or an error in words; never a manager's bug."""

from __future__ import annotations

import math
import types
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qm.errors import Internal, QueueError
from qm.messages import TypeOptions, WorkerInfo
from qm.store.memory import MemoryStore
from qm.store.sqlite import SQLiteStore
from qm.wire.codec import encode
from qm.wire.remote import Channels
from qm.wire.verbs import OBJECTS, QUEUE, QueueVerbs, ViewVerbs
from tests.manager.serving import managed
from tests.wire.peers import KEY

VERBS = [(target, verb) for target, verbs in OBJECTS.items() for verb in verbs]

#: Names that meet each other, so that calls find what earlier ones left.
NAMES = ["a", "b", "s", "t"]

SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    int: st.sampled_from([0, 1, 2, -1, 2**31, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)]),
    float: st.sampled_from([0.0, 0.5, -1.0, 1e-300, 1e308, math.inf, -math.inf, math.nan]),
    bool: st.booleans(),
    str: st.sampled_from(NAMES) | st.text(max_size=5) | st.sampled_from(["x" * 70, "a\0b", "\n", "'; --"]),
    bytes: st.sampled_from([b"", bytes(16), b"\xc0", b"x" * 5000]),
    type(None): st.none(),
}


def values(hint: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Values of the type that `hint` says."""
    if name == "wait":  # of those that do not wait
        return st.sampled_from([0.0, -1.0, -math.inf, math.nan])
    if hint in SIMPLE:
        return SIMPLE[hint]
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(values, args))
    if origin is dict:
        return st.dictionaries(values(args[0]), values(args[1]), max_size=2)
    if origin in (list, tuple, Sequence):
        return st.lists(values(args[0]), max_size=3)
    if issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    assert issubclass(hint, msgspec.Struct)
    hints = get_type_hints(hint)
    fields = msgspec.structs.fields(hint)
    chosen = {field.name: values(hints[field.name], field.name) for field in fields}
    for field in fields:
        if field.default is not msgspec.NODEFAULT:
            chosen[field.name] |= st.just(field.default)
    return st.builds(hint, **chosen)


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def channels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Channels]:
    path: Path = tmp_path_factory.mktemp("store") / "queue.db"
    store = MemoryStore() if request.param == "memory" else SQLiteStore.open(path, durability="relaxed")
    with managed(store) as manager:
        channels = Channels(manager.address, KEY)
        info = WorkerInfo(session="s", host="h", pid=1, processes=1, types={"t": TypeOptions()})
        channels.call("queue", "attach", encode([info]), 5)
        yield channels
        channels.close()


@pytest.mark.parametrize(("target", "verb"), [pair for pair in VERBS if pair[0] in ("queue", "done")])
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_value_of_the_right_type_is_a_bug_in_the_manager(
    channels: Channels, target: str, verb: str, data: st.DataObject
) -> None:
    function = getattr(QueueVerbs if target == "queue" else ViewVerbs, verb)
    hints = get_type_hints(function)
    names = OBJECTS[target][verb].names
    args = data.draw(st.tuples(*(values(hints[name], name) for name in names)))
    try:
        channels.call(target, verb, encode(args), 10)
    except Internal:
        raise
    except QueueError as error:
        assert str(error)
    assert QUEUE["status"].decode_answer(channels.call("queue", "status", encode([]), 10)) is not None
