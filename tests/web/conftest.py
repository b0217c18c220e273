from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web.calling import Manager, running_manager


@pytest.fixture
def manager() -> Iterator[Manager]:
    with running_manager() as manager:
        manager.work("work", "other")
        yield manager
