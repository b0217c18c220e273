"""How long things are kept after a task's end."""

from __future__ import annotations

_DAY = 86400.0

#: Results and cancelled tasks.
KEEP_ENDED = _DAY

#: Failed tasks wait for a person, who may be on holiday.
KEEP_FAILED = 30 * _DAY

#: The id of a task that is gone stays known, so that a late resend of its add does not run it again.
KEEP_ID = _DAY

#: How long an attempt may take unless the task or its type says otherwise.
TIMEOUT = 1800.0
