"""A spoilt file is refused, or serves what is right: never a crash, never another answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.spoil import VERDICTS, run


@pytest.mark.parametrize("seed", range(3))
def test_a_spoilt_file_is_refused_or_right(seed: int, tmp_path: Path) -> None:
    verdicts = run(seed, 20, tmp_path)
    assert sum(verdicts.values()) == 20
    assert sum(times for what, times in verdicts.items() if what.endswith("refused")) > 0
    found = {what for what in verdicts if not what.startswith("payload flip")}
    # SQLite has no checksums: what is flipped inside a row can come out, as docs/disk.md says. Pages and ends
    # that are missing never go unnoticed.
    assert found <= {"cut refused", "zero refused", *(f"flip {verdict}" for verdict in VERDICTS)}
