"""What holds for every test: no settings from outside, how hypothesis searches, what is told of a test."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The caller's own manager, key or store must never be what a test talks to. (QM_CI is for tests/wants.py.)
for name in [name for name in os.environ if name.startswith("QM_") and name != "QM_CI"]:
    del os.environ[name]

# No deadline: on a busy machine one slow example says nothing. Not derandomized, so that every run searches
# anew; the blob in a failure's report repeats it.
settings.register_profile("qmanager", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("qmanager")

LIVE = Path(__file__).with_name("live")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in tests/live is live, without saying so again in each file."""
    for item in items:
        if item.path.is_relative_to(LIVE):
            item.add_marker("live")


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Lone surrogates that a test logged or compared are escaped: pytest-xdist sends a report as UTF-8, and
    one that it cannot send, even of a test that passed, ends the whole run."""
    return _sendable((yield))


def _sendable(part: Any) -> Any:
    if isinstance(part, str):
        return part.encode("utf-8", "backslashreplace").decode()
    if isinstance(part, dict):
        return {_sendable(key): _sendable(value) for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return type(part)(_sendable(item) for item in part)
    return part
