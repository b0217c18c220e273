"""The scripts in shell: what shellcheck says of all of them, and what the docker-* ones ask of docker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qm.version import __version__
from tests.wants import want_program

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "scripts"

#: Stands in for docker: writes down what it is told; THERE are its containers, networks and images.
# Begun by a shell: a first line that names the interpreter cannot have a space in it.
DOCKER = f"""#!/bin/sh
'''exec' "{sys.executable}" "$0" "$@"
' '''
import json, os, sys
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[2:3] == ["inspect"]:
    sys.exit(f"{{sys.argv[1]}}:{{sys.argv[3]}}" not in os.environ["THERE"].split())
if sys.argv[1] == "exec":
    sys.exit(int(os.environ["HEALTH"]))
"""


class Docker:
    """A folder with a stand-in for docker, and the scripts run beside it."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin with a space"
        self.bin.mkdir()
        (self.bin / "docker").write_text(DOCKER)
        (self.bin / "docker").chmod(0o755)
        self._calls = folder / "calls"

    def run(
        self, script: str, *arguments: str, there: str = "", health: int = 0, **env: object
    ) -> subprocess.CompletedProcess[str]:
        self._calls.write_text("")
        own = {
            "CALLS": self._calls,
            "THERE": there,
            "HEALTH": health,
            "PATH": f"{self.bin}:{os.environ['PATH']}",
        }
        return subprocess.run(
            [SCRIPTS / script, *arguments],
            env={**os.environ, **{key: str(value) for key, value in (own | env).items()}},
            cwd=self.bin,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def calls(self) -> list[list[str]]:
        """What docker was told to do, without what it was only asked."""
        said = [json.loads(line) for line in self._calls.read_text().splitlines()]
        return [call for call in said if "inspect" not in call[:2] and call[0] != "exec"]


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker(tmp_path)


def shell_scripts() -> list[Path]:
    found = [path for path in [*SCRIPTS.iterdir(), ROOT / ".ci" / "run"] if path.is_file()]
    return sorted(
        path
        for path in found
        if path.suffix == ".sh" or path.read_text().startswith(("#!/bin/sh", "#!/usr/bin/env bash"))
    )


def after(call: list[str], option: str) -> list[str]:
    """The values given with `option`."""
    return [call[place + 1] for place, word in enumerate(call) if word == option]


@pytest.mark.parametrize("script", shell_scripts(), ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say(script: Path) -> None:
    # SC2034: what is sourced sets names for those who source it. SC2043: a list may have one word today.
    shell = ("--shell", "sh" if script.name == "docker.sh" else "bash") if script.suffix == ".sh" else ()
    options = ("--external-sources", "--source-path", str(SCRIPTS), "--severity", "warning")
    said = subprocess.run(
        [want_program("shellcheck"), *options, "--exclude", "SC2034,SC2043", *shell, script],
        capture_output=True,
        text=True,
    )
    assert (said.returncode, said.stdout) == (0, "")


def test_docker_build_names_the_image_by_the_version(docker: Docker) -> None:
    done = docker.run("docker-build", "--no-cache", "--label", "a b")
    assert done.returncode == 0, done.stderr
    tags = ["--tag", "qmanager:latest", "--tag", f"qmanager:{__version__}"]
    version = ["--build-arg", f"VERSION={__version__}"]
    assert docker.calls == [["build", *version, *tags, "--no-cache", "--label", "a b", "."]]


def test_docker_run_starts_a_manager_and_workers_that_share_the_key_alone(docker: Docker) -> None:
    done = docker.run("docker-run", "--processes", "3", there="image:qmanager")
    assert done.returncode == 0, done.stderr
    network, manager, worker = docker.calls
    assert network == ["network", "create", "--label", "qmanager=qmanager", "qmanager"]
    assert manager[0] == worker[0] == "run"
    assert manager[-2:] == ["qmanager", "qmanager"]
    assert worker[-4:] == ["qmanager", "qmworker", "--processes", "3"]
    assert after(manager, "--network") == after(worker, "--network") == ["qmanager"]
    key = "qmanager-key:/var/lib/qmanager-key"
    assert after(manager, "--volume") == ["qmanager-data:/var/lib/qmanager", key]
    assert after(worker, "--volume") == [f"{key}:ro"], "a worker has neither the store nor the private key"
    assert after(worker, "--env") == ["QM_RPC=qmanager:8090"]


def test_docker_run_publishes_on_this_machine_only(docker: Docker) -> None:
    docker.run("docker-run", there="image:qmanager")
    _, manager, worker = docker.calls
    assert after(manager, "--publish") == ["127.0.0.1:8090:8090", "127.0.0.1:8080:8080"]
    assert "--publish" not in worker
    docker.run("docker-run", there="image:qmanager", PUBLISH="192.168.0.7")
    assert after(docker.calls[1], "--publish") == ["192.168.0.7:8090:8090", "192.168.0.7:8080:8080"]


def test_containers_have_no_privileges_and_time_to_drain(docker: Docker) -> None:
    docker.run("docker-run", there="image:qmanager")
    for call in docker.calls[1:]:
        assert "--read-only" in call
        assert after(call, "--cap-drop") == ["ALL"]
        assert after(call, "--security-opt") == ["no-new-privileges"]
        assert int(*after(call, "--stop-timeout")) > 25, "a pool drains for 25 s"


def test_docker_run_mounts_operations_from_a_folder_with_spaces(docker: Docker, tmp_path: Path) -> None:
    folder = tmp_path / "my own 'operations'"
    folder.mkdir()
    done = docker.run("docker-run", "--load", "mail", there="image:qmanager", OPERATIONS=folder)
    assert done.returncode == 0, done.stderr
    worker = docker.calls[-1]
    assert after(worker, "--mount") == [f"type=bind,source={folder},target=/operations,readonly"]
    assert "PYTHONPATH=/operations" in after(worker, "--env")
    assert worker[-4:] == ["qmanager", "qmworker", "--load", "mail"]


def test_docker_run_refuses_a_folder_that_docker_cannot_mount(docker: Docker, tmp_path: Path) -> None:
    folder = tmp_path / "a,b"
    folder.mkdir()
    done = docker.run("docker-run", there="image:qmanager", OPERATIONS=folder)
    assert done.returncode == 1
    assert "a comma" in done.stderr


def test_docker_run_says_what_is_missing_or_there_already(docker: Docker) -> None:
    done = docker.run("docker-run")
    assert (done.returncode, docker.calls) == (1, [])
    assert "scripts/docker-build makes it" in done.stderr
    done = docker.run("docker-run", there="image:qmanager container:qmanager")
    assert (done.returncode, docker.calls) == (1, [])
    assert "scripts/docker-clean removes it" in done.stderr


def test_docker_run_starts_no_workers_beside_a_manager_that_does_not_serve(docker: Docker) -> None:
    done = docker.run("docker-run", there="image:qmanager", health=1, WAIT=0)
    assert done.returncode == 1
    assert "docker logs qmanager says why" in done.stderr
    assert len(docker.calls) == 2


def test_a_second_set_has_names_of_its_own(docker: Docker) -> None:
    docker.run("docker-run", there="image:mine network:other", NAME="other", IMAGE="mine")
    manager, worker = docker.calls
    assert after(manager, "--name") == after(manager, "--hostname") == ["other"]
    assert "QM_TLS_HOSTS=other" in after(manager, "--env"), "the certificate is for the name that workers use"
    assert after(worker, "--name") == ["other-worker"]
    assert after(worker, "--volume") == ["other-key:/var/lib/qmanager-key:ro"]
    assert worker[-2:] == ["mine", "qmworker"]


@pytest.mark.parametrize("name", ["a b", "a/b", "$(id)", "--volume"])
def test_a_name_that_is_none_is_refused(docker: Docker, name: str) -> None:
    done = docker.run("docker-run", there="image:qmanager", NAME=name)
    assert (done.returncode, docker.calls) == (1, [])
    assert "NAME is made of" in done.stderr


def test_docker_simulate_sends_tasks_to_the_running_manager(docker: Docker) -> None:
    done = docker.run("docker-simulate", "--count", "10", "--audit", there="container:qmanager")
    assert done.returncode == 0, done.stderr
    (call,) = docker.calls
    assert "--rm" in call
    assert after(call, "--network") == ["qmanager"]
    assert call[-6:] == ["qmanager", "qmsimulator", "--no-workers", "--count", "10", "--audit"]
    assert docker.run("docker-simulate").returncode == 1


def test_docker_clean_keeps_the_volumes_unless_told(docker: Docker) -> None:
    there = "container:qmanager container:qmanager-worker network:qmanager image:qmanager"
    assert docker.run("docker-clean", there="container:qmanager-simulator").returncode == 0
    assert docker.calls == [["stop", "qmanager-simulator"]], "it removes itself"
    assert docker.run("docker-clean", there=there).returncode == 0
    workers = [["stop", "qmanager-worker"], ["rm", "--force", "--volumes", "qmanager-worker"]]
    manager = [
        ["stop", "qmanager"],
        ["rm", "--force", "--volumes", "qmanager"],
        ["network", "rm", "qmanager"],
    ]
    assert docker.calls == [*workers, *manager], "the workers first: they hand in what they finish"
    docker.run("docker-clean", "--volumes", "--image", there=there)
    volumes = ["volume", "rm", "--force", "qmanager-data", "qmanager-key"]
    assert docker.calls == [*workers, *manager, volumes, ["image", "rm", "qmanager"]]


def test_docker_clean_with_nothing_there_or_a_wrong_word_does_nothing(docker: Docker) -> None:
    assert docker.run("docker-clean").returncode == 0
    assert docker.calls == []
    done = docker.run("docker-clean", "volumes")
    assert (done.returncode, docker.calls) == (2, [])
    assert "usage:" in done.stderr
