"""What keeps the files around the code true: make, scripts, versions, error codes, printed documents."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from qm import errors
from qm.version import __version__

ROOT = Path(__file__).parents[1]
SCRIPTS = [*sorted((ROOT / "scripts").iterdir()), ROOT / ".ci" / "run"]
ERRORS = [
    value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, BaseException)
]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _project() -> dict[str, object]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert isinstance(project, dict)
    return project


@pytest.mark.parametrize("script", SCRIPTS, ids=_name)
def test_every_script_can_be_run_and_parsed(script: Path) -> None:
    sourced = script.suffix == ".sh"
    assert os.access(script, os.X_OK) is not sourced, "chmod +x what is run, and only that"
    text = script.read_text()
    first = text.partition("\n")[0]
    if first == "#!/usr/bin/env python3":
        compile(text, script, "exec")
        return
    shell = "sh" if first == "#!/bin/sh" else "bash"
    assert sourced or first in {"#!/bin/sh", "#!/usr/bin/env bash"}
    subprocess.run([shell, "-n", script], check=True)


def test_every_make_target_is_explained_and_phony() -> None:
    makefile = (ROOT / "Makefile").read_text()
    rules = re.findall(r"^([a-z][a-z-]*):(.*)$", makefile, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert rules and phony
    assert [name for name, rest in rules if " ## " not in f" {rest}"] == []
    assert {name for name, _ in rules} == set(phony[1].split())
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert [line.split()[0] for line in shown.splitlines()] == [name for name, _ in rules]
    assert len({len(line) - len(line.split(maxsplit=1)[1]) for line in shown.splitlines()}) == 1, "in columns"


def test_ci_runs_what_people_run() -> None:
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "exec make test"


def test_the_version_is_said_once() -> None:
    assert "version" not in _project()
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    said = [path for path in (ROOT / "qm").rglob("*.py") if f'"{__version__}"' in path.read_text()]
    assert said == [ROOT / "qm" / "version.py"]


def test_every_program_is_there() -> None:
    programs = _project()["scripts"]
    assert isinstance(programs, dict)
    for name, target in programs.items():
        assert target == f"qm.cli.{name}:main"
        assert (ROOT / "qm" / "cli" / f"{name}.py").is_file()


def test_error_codes_are_unique_and_plain() -> None:
    codes = [kind.__dict__.get("code") for kind in ERRORS if issubclass(kind, errors.QueueError)]
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code or "") for code in codes), (
        "each error sets its own code"
    )
    assert len(set(codes)) == len(codes)


def test_the_exports_of_errors_are_sorted_and_complete() -> None:
    assert errors.__all__ == sorted(errors.__all__)
    own = {kind.__name__ for kind in ERRORS if kind.__module__ == errors.__name__}
    assert set(errors.__all__) == own | {"by_code"}


def test_every_error_is_in_the_drawn_tree() -> None:
    drawn = re.findall(r"^[ │├└─]*([A-Z]\w+)(?:  |$)", errors.__doc__ or "", re.MULTILINE)
    assert sorted(drawn) == sorted(kind.__name__ for kind in ERRORS)


def test_the_changelog_has_what_is_not_released_first_and_releases_in_order() -> None:
    titles = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert titles[0] == "Unreleased"
    releases = [tuple(map(int, title.split("."))) for title in titles[1:]]
    assert all(newer > older for newer, older in pairwise(releases))
