"""Tasks on their way in and out: made, cut into frames, unpacked."""

from __future__ import annotations

import itertools
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm.client.tasks import chunks, new_task, unpack_task
from qm.errors import BadPayload, BadRequest, TooLarge
from qm.limits import ADD_BYTES, ADD_CHUNK, PAYLOAD_MAX
from qm.payload import pack, pack_failure, unpack
from qm.task import Failure, PackedTask, State


def test_an_id_is_made_before_the_first_try_and_sorts_by_time() -> None:
    before = time.time() * 1000
    task = new_task("mail")
    parsed = uuid.UUID(task.id)
    assert parsed.version == 7
    assert int(before) <= parsed.int >> 80 <= time.time() * 1000
    ids = [new_task("mail").id for _ in range(1000)]
    assert len({*ids}) == 1000 and ids == sorted(ids)


def test_the_user_s_own_words_are_kept() -> None:
    task = new_task("mail", {"to": "ann"}, id="order-42", priority=3, delay=5, attempts=2, timeout=9, keep=0)
    assert (task.id, task.type, unpack(task.input)) == ("order-42", "mail", {"to": "ann"})
    assert (task.priority, task.delay, task.attempts, task.timeout, task.keep) == (3, 5, 2, 9, 0)


def test_the_same_type_and_input_have_the_same_digest_and_others_have_not() -> None:
    def digest(type_: str, value: object) -> bytes:
        return new_task(type_, value).digest

    assert digest("mail", [1, {"a": None}]) == digest("mail", [1, {"a": None}])
    assert len({digest("mail", 1), digest("mail", 2), digest("sms", 1), digest("mail", "1")}) == 4


@pytest.mark.parametrize("bad", ["", "a b", "x" * 65, "ä", "a/b", "a\n"])
def test_an_id_or_type_that_cannot_be_is_refused_before_anything_is_sent(bad: str) -> None:
    with pytest.raises(BadRequest, match="cannot be an id"):
        new_task("mail", id=bad)
    with pytest.raises(BadRequest, match="cannot be a type"):
        new_task(bad)


def test_a_value_that_cannot_be_packed_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    for value in (object(), {1j: 2}, loop, "\ud800"):
        with pytest.raises(BadPayload):
            new_task("mail", value)


def test_a_value_that_is_too_large_is_refused_with_what_to_do() -> None:
    with pytest.raises(TooLarge) as caught:
        new_task("mail", bytes(PAYLOAD_MAX))
    assert "address into the task" in (caught.value.hint or "")
    new_task("mail", bytes(PAYLOAD_MAX - 5))


@given(st.lists(st.integers(0, ADD_BYTES), max_size=600))
def test_frames_are_bounded_and_nothing_is_lost_or_moved(weights: list[int]) -> None:
    frames = list(chunks(weights, lambda weight: weight))
    assert [weight for frame in frames for weight in frame] == weights
    assert all(0 < len(frame) <= ADD_CHUNK for frame in frames)
    assert all(sum(frame) <= ADD_BYTES for frame in frames)
    for frame, following in itertools.pairwise(frames):
        assert len(frame) == ADD_CHUNK or sum(frame) + following[0] > ADD_BYTES, "a frame with room left"


def test_what_is_larger_than_a_frame_goes_alone() -> None:
    frames = chunks([1, ADD_BYTES + 1, 1], lambda weight: weight)
    assert list(frames) == [[1], [ADD_BYTES + 1], [1]]


def test_frames_are_made_as_they_are_asked_for() -> None:
    endless = itertools.count()
    frames = chunks(endless, lambda _: 1)
    assert len(next(frames)) == ADD_CHUNK
    assert next(endless) <= ADD_CHUNK + 1


def test_a_task_is_unpacked_and_keeps_all_its_fields() -> None:
    failure = Failure("ValueError", "no", "Traceback ...")
    packed = PackedTask(
        id="a",
        type="mail",
        input=pack([1]),
        state=State.FAILED,
        output=pack(None),
        error=pack_failure(failure),
        reason="failed 5 times",
        priority=7,
        attempt=5,
        input_size=2,
        worker="alpha:1",
    )
    task = unpack_task(packed)
    assert (task.input, task.output, task.error) == ([1], None, failure)
    assert (task.state, task.reason, task.priority, task.attempt) == (State.FAILED, "failed 5 times", 7, 5)
    assert (task.input_size, task.worker) == (2, "alpha:1")


def test_a_payload_that_was_not_packed_by_us_stays_as_it_is() -> None:
    task = unpack_task(PackedTask(id="a", type="mail", input=b"\xc1", output=b"\xc1"))
    assert (task.input, task.output) == (b"\xc1", b"\xc1")


def test_what_a_list_left_out_is_none_and_its_size_is_told() -> None:
    packed = PackedTask(id="a", type="mail", input=b"", input_size=70_000, output=None, output_size=9_000)
    task = unpack_task(packed)
    assert (task.input, task.output, task.input_size, task.output_size) == (None, None, 70_000, 9_000)
