"""The targets of scripts/fuzz hold for their seeds, for changed seeds, and for all that was ever found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qm.wire.codec import decode_request
from qm.wire.frames import WireError
from qm.wire.verbs import OBJECTS
from tests.fuzz import targets
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, VERBS, Target, finish

CRASHES = sorted(path for path in Path(__file__).with_name("crashes").iterdir() if path.name != "README.md")


@pytest.fixture(scope="module", params=TARGETS)
def named(request: pytest.FixtureRequest) -> Iterator[tuple[str, Target]]:
    target = TARGETS[request.param]()
    yield request.param, target
    finish(target)


def test_a_target_holds_for_its_seeds(named: tuple[str, Target]) -> None:
    name, target = named
    for seed in [b"", *seeds(name)]:
        target(seed)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_target_holds_for_changed_seeds(named: tuple[str, Target], data: Any) -> None:
    name, target = named
    seed = data.draw(st.sampled_from(seeds(name)))
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(seed))] * 2)))
    target(seed[:start] + data.draw(st.binary(max_size=20)) + seed[end:])


def test_what_was_found_stays_mended(named: tuple[str, Target]) -> None:
    name, target = named
    for crash in CRASHES:
        if crash.name.startswith(f"{name}-"):
            target(crash.read_bytes())


def test_the_seeds_of_calls_are_good_ones() -> None:
    """Else fuzzing would begin at the door."""
    for seed in seeds("verbs"):
        target, verb = VERBS[seed[0]]
        OBJECTS[target][verb].decode_arguments(seed[1:])
    good = [seed for seed in seeds("answers") if _is_good(seed)]
    assert len(good) > len(VERBS) / 2
    decode_request(memoryview(seeds("envelopes")[0]))


def _is_good(seed: bytes) -> bool:
    target, verb = VERBS[seed[0]]
    try:
        OBJECTS[target][verb].decode_answer(seed[1:])
    except WireError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("envelopes", "decode_error"),
        ("payloads", "unpack"),
        ("preview", "show_outcome"),
        ("verbs", "_filled"),
    ],
)
def test_a_target_can_fail(name: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(targets, where, broken)
    target = TARGETS[name]()
    with pytest.raises(KeyError):
        for seed in seeds(name):
            target(seed)
