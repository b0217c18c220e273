"""The one way to run a program: parse, work, and say in words what went wrong."""

from __future__ import annotations

import os
import re
import select
import sys
import traceback
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import Final

import docopt

from qm.cli.arguments import Arguments
from qm.cli.exits import Exit, code_of
from qm.cli.flags import to_gnu
from qm.cli.terminal import hint, say
from qm.errors import OperationError, QueueError
from qm.version import __version__

#: How often -v must be given for tracebacks to be shown.
_TRACEBACKS: Final = 2


def run(name: str, usage: str, argv: Sequence[str] | None, work: Callable[[Arguments], int]) -> int:
    """Runs the program `name`: `work` gets what `argv` says by `usage` and gives the exit code.

    Nothing is raised. What goes wrong is said on stderr, in a line with the program's name and, where there
    is something to do about it, a line with a hint; `qm.cli.exits` has the exit codes.
    """
    verbose = 0
    _fill_standard_descriptors()
    if isinstance(sys.stdout, TextIOWrapper):  # else it is somebody's own object
        sys.stdout.reconfigure(errors="backslashreplace")  # the terminal may not have all letters
    try:
        arguments = _parse(name, usage, sys.argv[1:] if argv is None else argv)
        if isinstance(arguments, int):
            return arguments
        verbose = arguments.count("--verbose")
        code = work(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as error:
        return code_of(error)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _leave_the_pipe():
            return Exit.FAILED
        if verbose >= _TRACEBACKS:
            traceback.print_exc()
        _explain(name, error)
        return code_of(error)


def _fill_standard_descriptors() -> None:
    """What was closed at our start, as by `2>&-`, reads and writes nowhere. Else the next file or connection
    would have its number and be sent what is logged; and Python prints to stdout what was for no stderr."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free: this one
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - as long as the process
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115


def _parse(name: str, usage: str, argv: Sequence[str]) -> Arguments | int:
    """What the words say, or the exit code where that is all there is to do."""
    words = to_gnu(argv)
    try:
        # by position: docopt and docopt-ng have different names for the third
        return Arguments(docopt.docopt(usage, words, True, f"{name} {__version__}"))
    except docopt.DocoptExit as error:
        say(name, _complaint(str(error).partition("\n")[0]))
        print(_usage_of(usage, words), file=sys.stderr)
        hint(f"{name} --help")
        return Exit.USAGE
    except SystemExit:  # --help and --version have been printed
        return Exit.OK


def _complaint(said: str) -> str:
    """docopt's complaint, for people: it shows its own objects."""
    if said.startswith("Warning: found unmatched"):
        words = re.findall(r"'([^']*)'", said)
        return f"these arguments do not fit the usage, at: {' '.join(words)}"
    return "these arguments do not fit the usage" if said.startswith("Usage") else said


def _usage_of(usage: str, words: Sequence[str]) -> str:
    """The usage lines of the command that `words` name, or all."""
    section = re.search(r"^Usage:\n((?: +\S.*\n)+)", usage, re.MULTILINE)
    patterns = re.split(r"\n(?=  \S)", section[1].rstrip()) if section else []
    named = [p for p in patterns if any(w in re.findall(r"[a-z]+", p.split("-")[0]) for w in words)]
    return "\n".join(["Usage:", *(named or patterns)])


def _explain(name: str, error: Exception) -> None:
    if isinstance(error, (QueueError, OperationError)):
        say(name, str(error))
        if advice := getattr(error, "hint", None):
            hint(advice)
        return
    say(name, f"unexpected error: {type(error).__name__}: {error}")
    hint("say it again with -vv for the details")


def _leave_the_pipe() -> bool:
    """Whether nobody reads our stdout any more, as after `| head`. What is still buffered is dropped then: it
    must not complain at the end of the process."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError):  # closed; or no file, but somebody's own object
        return False
    state = select.poll()
    state.register(descriptor, 0)
    if not any(event & select.POLLERR for _, event in state.poll(0)):
        return False
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return True
