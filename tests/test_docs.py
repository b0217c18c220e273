"""The documentation says what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from qm.cli import qmclient

ROOT = Path(__file__).parents[1]


def test_what_is_written_from_the_code_is_up_to_date() -> None:
    check = subprocess.run(
        [sys.executable, ROOT / "scripts" / "docs", "--check"], capture_output=True, text=True
    )
    assert (check.returncode, check.stderr) == (0, "")


def test_the_readme_names_every_command_of_qmclient() -> None:
    commands = set(re.findall(r"^  qmclient ([a-z]+) ", qmclient.__doc__ or "", re.MULTILINE))
    assert len(commands) == 8
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [command for command in commands if f"`{command}`" not in readme] == []


@pytest.mark.parametrize("document", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_links_between_documents_lead_somewhere(document: str) -> None:
    text = (ROOT / "docs" / document).read_text("utf-8")
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text)]
    local = [target for target in targets if target and "://" not in target]
    assert [target for target in local if not (ROOT / "docs" / target).exists()] == []


def test_links_of_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text("utf-8"))
    assert [target for target in targets if "://" not in target and not (ROOT / target).exists()] == []


def test_every_test_that_a_guarantee_names_is_there() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
    named = re.findall(r"`((?:tests|qm/testing)/[\w/]+\.py)`", text)
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []
