"""progress: a running task says how far it is."""

from __future__ import annotations

from collections.abc import Sequence

from qm.errors import BadRequest, TooLarge
from qm.limits import IDS_MAX
from qm.messages import NOTE_MAX, SEALED_NOTE_MAX, Progress, Verdict
from qm.payload import is_sealed_text
from qm.queue.core import Core


def progress(core: Core, items: Sequence[Progress]) -> list[Verdict]:
    """Notes progress under the leases. Raises `BadRequest` for a fraction outside 0 to 1 or a long note."""
    if len(items) > IDS_MAX:
        raise TooLarge(f"{len(items)} reports in one call, the limit is {IDS_MAX}")
    for item in items:
        if not 0 <= item.fraction <= 1:
            raise BadRequest(f"a progress of {item.fraction:g} is not between 0 and 1")
        most = SEALED_NOTE_MAX if is_sealed_text(item.note[: SEALED_NOTE_MAX + 1]) else NOTE_MAX
        if len(item.note) > most:
            raise BadRequest(f"a note has at most {most} characters")
    return list(core.commit.run(lambda tx: tx.progress(items), sync=False))
