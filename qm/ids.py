"""Ids of tasks and sessions: UUIDv7, which sort by time and never meet, made before the first try to add."""

from __future__ import annotations

import uuid_utils


def new_id() -> str:
    """A new id of 36 characters."""
    return str(uuid_utils.uuid7())
