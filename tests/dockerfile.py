"""A Dockerfile's instructions, and how its steps are run without an engine: below a folder, as its root."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple


class Instruction(NamedTuple):
    """One instruction; lines that end with a backslash are joined."""

    word: str
    rest: str


def instructions(text: str) -> list[Instruction]:
    """All instructions in order, without comments."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [Instruction(*line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def stages(text: str) -> list[list[Instruction]]:
    """The instructions of each stage, each beginning with its FROM."""
    found: list[list[Instruction]] = []
    for instruction in instructions(text):
        if instruction.word == "FROM":
            found.append([])
        if found:
            found[-1].append(instruction)
    return found


def exec_form(stage: list[Instruction], word: str) -> list[str]:
    """The words of a CMD, an ENTRYPOINT, or whatever else has the form ["a", "b"]."""
    (rest,) = [instruction.rest for instruction in stage if instruction.word == word]
    words = json.loads(rest[rest.index("[") :])
    assert isinstance(words, list)
    return words


def environment(stage: list[Instruction]) -> dict[str, str]:
    """What its ENVs set."""
    pairs = [
        word for instruction in stage if instruction.word == "ENV" for word in shlex.split(instruction.rest)
    ]
    return dict(pair.split("=", 1) for pair in pairs)


class StepFailed(AssertionError):
    """A RUN did not end well; the text is what it said."""


class Root:
    """A folder in the place of a container's root. Absolute paths of the Dockerfile are put below it."""

    #: What the image has at its root; everything else is the machine's.
    OWN = ("/source", "/wheels", "/opt/qmanager")

    def __init__(self, folder: Path, context: Path) -> None:
        self._folder = folder
        self._context = context
        self._workdir = folder

    def below(self, text: str) -> str:
        """`text` with the image's own absolute paths below the folder."""
        paths = "|".join(re.escape(path) for path in self.OWN)
        return re.sub(rf"(?<![\w/])({paths})(?=[/\s:-]|$)", lambda found: f"{self._folder}{found[1]}", text)

    def do(self, stage: list[Instruction], environ: dict[str, str]) -> None:
        """Carries out WORKDIR, COPY (from the context) and RUN, as they stand. Raises `StepFailed`."""
        for word, rest in stage:
            if word == "WORKDIR":
                self._workdir = Path(self.below(rest))
                self._workdir.mkdir(parents=True, exist_ok=True)
            elif word == "COPY":
                self._copy(rest.split())
            elif word == "RUN":
                self._run(self.below(rest), environ)

    def _copy(self, words: list[str]) -> None:
        *sources, target = [word for word in words if not word.startswith("--")]
        place = self._workdir / self.below(target)
        for source in sources:
            path = self._context / source
            if path.is_dir():
                shutil.copytree(path, place, ignore=shutil.ignore_patterns("__pycache__"))
            elif target.endswith("/"):
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, place)
            else:
                shutil.copy(path, place)

    def _run(self, command: str, environ: dict[str, str]) -> None:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self._workdir,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=110,
        )
        if done.returncode != 0:
            raise StepFailed(done.stdout)
