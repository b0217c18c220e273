"""How a program runs and how it ends, whatever happens in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from qm.cli import qmanager, qmclient, qmworker
from qm.cli.arguments import Arguments
from qm.cli.program import run
from qm.errors import BadRequest, LoadError, NotFound
from qm.version import __version__

USAGE = """qmtest tests.

Usage:
  qmtest add --type TYPE [options] [-v]...
  qmtest get [--id ID]
             [options] [-v]...
  qmtest (-h | --help)

Options:
  --type TYPE    A type.
  --id ID        An id.
  -v, --verbose  More.
  -h, --help     This.
"""


def raising(error: BaseException) -> Callable[[Arguments], int]:
    def work(arguments: Arguments) -> int:
        raise error

    return work


def nothing(arguments: Arguments) -> int:
    return 0


@pytest.mark.parametrize("program", [qmanager, qmclient, qmworker])
def test_every_program_says_its_version_and_its_usage(
    program: object, capsys: pytest.CaptureFixture[str]
) -> None:
    name = program.__name__.rpartition(".")[2]  # type: ignore[attr-defined]
    main: Callable[[list[str]], int] = program.main  # type: ignore[attr-defined]
    assert main(["--version"]) == 0
    assert capsys.readouterr() == (f"{name} {__version__}\n", "")
    for word in ("-h", "--help"):
        assert main([word]) == 0
        said = capsys.readouterr()
        assert said.out.strip() == (program.__doc__ or "").strip()
        assert said.err == ""


@pytest.mark.parametrize("program", ["qmanager", "qmclient", "qmworker"])
def test_saying_the_version_loads_nothing_heavy(program: str) -> None:
    """It is what completions and installers ask for, again and again."""
    script = f"""
import sys
from qm.cli.{program} import main
assert main(["--version"]) == 0
heavy = {{"apsw", "bcrypt", "bottle", "pythonjsonlogger", "regex", "rich", "setproctitle", "waitress"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_exit_code_is_what_the_work_gives() -> None:
    assert run("qmtest", USAGE, ["get"], lambda arguments: 6) == 6


def test_the_work_gets_what_the_words_say() -> None:
    def work(arguments: Arguments) -> int:
        assert arguments.has("get")
        assert arguments.text("--id") == "x"
        assert arguments.count("--verbose") == 2
        return 0

    assert run("qmtest", USAGE, ["-vv", "get", "-id=x"], work) == 0


def test_without_words_it_takes_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["qmtest", "get", "--id", "x"])
    assert run("qmtest", USAGE, None, lambda arguments: arguments.text("--id") == "x") == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["get", "--bogus"], "these arguments do not fit the usage, at: --bogus"),
        (["get", "more"], "these arguments do not fit the usage, at: more"),
        (["get", "--id"], "--id requires argument"),
        (["add"], "these arguments do not fit the usage, at: add"),
        ([], "these arguments do not fit the usage"),
    ],
)
def test_wrong_words_are_named_and_end_with_2(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("qmtest", USAGE, words, nothing) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"qmtest: {complaint}\nUsage:\n")
    assert said.err.endswith("hint: qmtest --help\n")


def test_of_the_usage_only_the_command_that_was_meant_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    run("qmtest", USAGE, ["get", "--bogus"], nothing)
    usage = capsys.readouterr().err
    assert "qmtest get [--id ID]\n             [options]" in usage
    assert "qmtest add" not in usage
    run("qmtest", USAGE, ["--bogus"], nothing)
    usage = capsys.readouterr().err
    assert "qmtest get" in usage and "qmtest add" in usage


def test_an_error_is_one_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("qmtest", USAGE, ["get"], raising(NotFound("there is no task 'x'", hint="look again"))) == 3
    assert capsys.readouterr() == ("", "qmtest: there is no task 'x'\nhint: look again\n")
    assert run("qmtest", USAGE, ["get"], raising(BadRequest("no"))) == 2
    assert capsys.readouterr() == ("", "qmtest: no\n")
    assert run("qmtest", USAGE, ["get"], raising(LoadError("no module"))) == 2
    assert capsys.readouterr() == ("", "qmtest: no module\n")


def test_an_error_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    run("qmtest", USAGE, ["get"], raising(NotFound("no \x1b[2J\nqmtest: all is well", hint="\x9b2J")))
    assert capsys.readouterr().err == "qmtest: no \\x1b[2J\\nqmtest: all is well\nhint: \\x9b2J\n"


def test_a_bug_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("qmtest", USAGE, ["get"], raising(KeyError("x"))) == 1
    said = capsys.readouterr().err
    assert said == "qmtest: unexpected error: KeyError: 'x'\nhint: say it again with -vv for the details\n"


@pytest.mark.parametrize("error", [KeyError("x"), NotFound("x")])
def test_only_vv_shows_where_an_error_comes_from(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, shown in ((["get"], False), (["get", "-v"], False), (["get", "-vv"], True)):
        run("qmtest", USAGE, words, raising(error))
        assert ("Traceback" in capsys.readouterr().err) is shown


def test_ctrl_c_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("qmtest", USAGE, ["get"], raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_went_away_is_no_reason_to_complain() -> None:
    """As in `qmclient list | head -1`."""
    script = f"""
import sys
from qm.cli.program import run
def work(arguments):
    for _ in range(100_000):
        print("a line")
    return 0
sys.exit(run("qmtest", {USAGE!r}, ["get"], work))
"""
    program = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdout is not None
    program.stdout.readline()
    program.stdout.close()
    _, said = program.communicate(timeout=60)
    assert program.returncode == 1
    assert said == b""


@pytest.mark.parametrize(
    ("shell", "out"),
    [
        ("PYTHONIOENCODING=ascii {}", "\\u6f22\n"),
        ("{} >&-", ""),
    ],
)
def test_a_stdout_that_cannot_show_it_is_no_error(shell: str, out: str) -> None:
    script = f"""
import sys
from qm.cli.program import run
from qm.cli.terminal import is_terminal
def work(arguments):
    print(chr(0x6f22))
    return 7 if is_terminal() else 0
sys.exit(run("qmtest", {USAGE!r}, ["get"], work))
"""
    done = subprocess.run(
        ["sh", "-c", shell.format('"$0" -c "$1"'), sys.executable, script], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, out, "")


def test_a_pipe_that_broke_elsewhere_is_an_error_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("qmtest", USAGE, ["get"], raising(BrokenPipeError("a child"))) == 1
    assert "unexpected error: BrokenPipeError: a child" in capsys.readouterr().err


CLOSED = """
import os, sys
from qm.cli.program import run

def work(arguments):
    print("to stderr", file=sys.stderr)
    for number in range(3):
        print(number, os.path.realpath(f"/proc/self/fd/{number}"), os.get_inheritable(number))
    return len(sys.stdin.read()) + sys.stderr.isatty()

sys.exit(run("qmtest", "Usage: qmtest", [], work))
"""


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_what_was_closed_at_the_start_is_nowhere_and_no_other_file_gets_its_number(closed: int) -> None:
    shell = f'exec "$0" -c "$1" {closed}{"<" if closed == 0 else ">"}&-'
    ended = subprocess.run(
        ["/bin/sh", "-c", shell, sys.executable, CLOSED], stdin=subprocess.DEVNULL, capture_output=True
    )
    assert ended.returncode == 0
    assert ended.stderr == (b"" if closed == 2 else b"to stderr\n")
    lines = ended.stdout.decode().splitlines()
    assert lines == [] if closed == 1 else lines[closed] == f"{closed} /dev/null True"
    assert len(lines) == (0 if closed == 1 else 3), "what was for stderr does not come on stdout"
