"""progress: a running task says how far it is."""

from __future__ import annotations

from collections.abc import Sequence

from qm.errors import BadRequest, TooLarge
from qm.limits import IDS_MAX
from qm.messages import NOTE_MAX, Progress, Verdict
from qm.queue.core import Core


def progress(core: Core, items: Sequence[Progress]) -> list[Verdict]:
    """Notes progress under the leases. Raises `BadRequest` for a fraction outside 0 to 1 or a long note."""
    if len(items) > IDS_MAX:
        raise TooLarge(f"{len(items)} reports in one call, the limit is {IDS_MAX}")
    for item in items:
        if not 0 <= item.fraction <= 1:
            raise BadRequest(f"a progress of {item.fraction:g} is not between 0 and 1")
        if len(item.note) > NOTE_MAX:
            raise BadRequest(f"a note has at most {NOTE_MAX} characters")
    return list(core.commit.run(lambda tx: tx.progress(items), sync=False))
