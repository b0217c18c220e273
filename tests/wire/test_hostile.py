"""Deep and swelling bytes: refused, in a thread with a small stack too, and before they are large."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.wire.hostile import DEEP, FLOODS, decoders, growth

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kib", [64, 256, 2048])
def test_depth_is_refused_however_small_the_stack(kib: int) -> None:
    """Fault 27: untyped, msgspec goes as deep as Python's own bound, and a small stack ends before that."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.wire.hostile", str(kib)], cwd=ROOT, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert int(ended.stdout) > len(decoders()) * len(DEEP)


@pytest.mark.parametrize("name", [name for name in decoders() if "answer" not in name])
def test_a_frame_does_not_swell_when_it_is_decoded(name: str) -> None:
    """Fault 27: four million empty texts were 34 MB of objects before anybody counted them."""
    decode = decoders()[name]
    assert {kind: times for kind, packed in FLOODS.items() if (times := growth(decode, packed)) >= 3} == {}
