"""A qmanager whose sessions have a term of 3 s instead of 30: chaos tests have no time for more."""

from __future__ import annotations

import sys

from qm import limits

limits.SESSION_TERM = 3.0  # before anybody has imported the number

from qm.cli import qmanager  # noqa: E402

if __name__ == "__main__":
    sys.exit(qmanager.main())
