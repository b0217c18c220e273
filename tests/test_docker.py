"""The image, as far as that goes without an engine: what the Dockerfile says, and what its entry point does.
tests/live/test_docker.py installs it and runs it."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.dockerfile import environment, exec_form, instructions, stages
from tests.wants import want_program

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text()
BUILD, LAST = stages(TEXT)
PROGRAMS = ("qmanager", "qmworker", "qmclient", "qmsimulator")
ENTRYPOINT = ROOT / "scripts" / "docker-entrypoint"

#: A program that writes down how it was called, and makes what the real one would.
RECORDS = """#!/bin/sh
{ printf '%s' "${0##*/}"; printf ' [%s]' "$@"; echo; } >>"$CALLS"
env | grep '^QM_' | sort >"$CALLS.env"
[ "${1:-}" != tls ] || echo certificate >"$QM_HOME/tls.crt"
"""


def said(stage: list, word: str) -> list[str]:
    return [instruction.rest for instruction in stage if instruction.word == word]


def test_hadolint_has_nothing_to_say() -> None:
    found = subprocess.run([want_program("hadolint"), ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_image_is_slim_and_not_root() -> None:
    assert [rest.split()[0] for rest in said(BUILD + LAST, "FROM")] == ["python:${PYTHON}-slim-bookworm"] * 2
    assert said(LAST, "USER") == ["10001:10001"], "in figures: so orchestrators can see that it is not root"


def test_the_python_of_the_image_is_new_enough() -> None:
    (python,) = [rest for word, rest in instructions(TEXT) if word == "ARG" and rest.startswith("PYTHON=")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = project["requires-python"].removeprefix(">=")
    has = python.removeprefix("PYTHON=")
    assert [int(part) for part in has.split(".")] >= [int(part) for part in needed.split(".")]


def test_signals_reach_the_program_and_ports_and_volumes_are_told() -> None:
    assert said(LAST, "STOPSIGNAL") == ["SIGTERM"]
    assert exec_form(LAST, "ENTRYPOINT") == ["tini", "--", "docker-entrypoint"]
    assert exec_form(LAST, "CMD") == ["qmanager"]
    assert said(LAST, "EXPOSE") == ["8080 8090"]
    assert exec_form(LAST, "VOLUME") == ["/var/lib/qmanager", "/var/lib/qmanager-key"]
    env = environment(LAST)
    assert env["QM_HOME"] in exec_form(LAST, "VOLUME")
    assert (
        Path(env["QM_AUTHKEY_FILE"]).parent == Path(env["QM_TLS_CA"]).parent == Path("/var/lib/qmanager-key")
    )


def test_what_is_copied_is_let_through_by_dockerignore() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    copied = [rest.split() for rest in said(BUILD, "COPY")] + [
        rest.split() for rest in said(LAST, "COPY") if "--from=" not in rest
    ]
    sources = {word for words in copied for word in words[:-1] if not word.startswith("--")}
    assert sources == allowed
    assert [source for source in sources if not (ROOT / source).exists()] == []


class Stage:
    """The entry point among programs that only write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home with a space"
        self.key = folder / "key"
        self.bin = folder / "bin"
        for made in (self.home, self.key, self.bin):
            made.mkdir()
        for program in (*PROGRAMS, "other"):
            (self.bin / program).write_text(RECORDS)
            (self.bin / program).chmod(0o755)
        self.calls_file = folder / "calls"

    def run(self, *words: str, **env: str) -> list[str]:
        self.calls_file.write_text("")
        own = {
            **environment(LAST),
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "CALLS": str(self.calls_file),
            "QM_HOME": str(self.home),
            "QM_TLS_CA": str(self.key / "tls.crt"),
        }
        subprocess.run([ENTRYPOINT, *words], env={**own, **env}, check=True, timeout=20)
        return self.calls_file.read_text().splitlines()

    @property
    def environ(self) -> dict[str, str]:
        lines = Path(f"{self.calls_file}.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_the_first_start_makes_a_certificate_and_shares_it_without_its_key(stage: Stage) -> None:
    init, serve = stage.run()
    assert init == "qmanager [tls] [init] [--hosts] [qmanager]"
    assert serve == f"qmanager [--insecure-bind] [--ready-file] [{stage.home}/ready]"
    assert [path.name for path in stage.key.iterdir()] == ["tls.crt"]
    assert (stage.environ["QM_RPC"], stage.environ["QM_HTTP"]) == ("0.0.0.0:8090", "0.0.0.0:8080")
    assert stage.environ["QM_TLS"] == "on"


def test_the_second_start_keeps_the_certificate_and_mends_the_shared_one(stage: Stage) -> None:
    stage.run()
    (stage.key / "tls.crt").write_text("of another manager")
    (call,) = stage.run("qmanager", "--store", "memory:")
    assert call.endswith("[--store] [memory:]")
    assert (stage.key / "tls.crt").read_text() == "certificate\n"


def test_names_of_the_certificate_can_be_chosen(stage: Stage) -> None:
    assert (
        stage.run(QM_TLS_HOSTS="a.example,b.example")[0]
        == "qmanager [tls] [init] [--hosts] [a.example,b.example]"
    )


def test_a_certificate_of_your_own_is_left_alone(stage: Stage) -> None:
    (call,) = stage.run("--tls-cert", "/run/secrets/crt", "--tls-key", "/run/secrets/key")
    assert call.startswith("qmanager [--insecure-bind]")
    assert list(stage.key.iterdir()) == []


def test_without_tls_nothing_is_opened_to_other_machines(stage: Stage) -> None:
    (call,) = stage.run("qmanager", QM_TLS="off")
    assert "--insecure-bind" not in call, "so qmanager refuses to listen, and says what to do"
    assert "QM_TLS_CA" not in stage.environ


def test_options_that_are_given_are_not_said_twice(stage: Stage) -> None:
    _, call = stage.run("--insecure-bind", "--ready-file=/tmp/ready")
    assert call == "qmanager [--insecure-bind] [--ready-file=/tmp/ready]"


@pytest.mark.parametrize("words", [("check",), ("backup", "/backup/a b.db"), ("tls", "init"), ("--help",)])
def test_commands_and_help_are_run_as_they_are(stage: Stage, words: tuple[str, ...]) -> None:
    assert stage.run("qmanager", *words) == [f"qmanager {' '.join(f'[{word}]' for word in words)}"]


def test_workers_find_the_manager_by_its_name(stage: Stage) -> None:
    assert stage.run("qmworker", "--load", "a b") == ["qmworker [--load] [a b]"]
    assert stage.environ["QM_RPC"] == "qmanager:8090"
    assert stage.environ["QM_TLS_CA"] == f"{stage.key}/tls.crt"
    stage.run("qmclient", "status", QM_RPC="elsewhere:1")
    assert stage.environ["QM_RPC"] == "elsewhere:1"


def test_a_fingerprint_goes_before_the_shared_certificate(stage: Stage) -> None:
    stage.run("qmworker", QM_TLS_FINGERPRINT="sha256:00")
    assert "QM_TLS_CA" not in stage.environ


def test_any_other_command_is_run_as_it_is(stage: Stage) -> None:
    assert stage.run("other", "-c", "print(1)") == ["other [-c] [print(1)]"]
