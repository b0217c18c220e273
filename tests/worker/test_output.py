"""The file that a child and its tasks write to."""

from __future__ import annotations

import errno
import multiprocessing
import os
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from qm.limits import LOG_MAX
from qm.worker.output import Output

MIB = 1 << 20


@pytest.fixture
def output() -> Iterator[Output]:
    output = Output.create()
    yield output
    output.close()


def used(output: Output) -> int:
    """Bytes of memory."""
    return os.fstat(output.fd).st_blocks * 512


def test_a_fresh_file_is_quiet_and_empty(output: Output) -> None:
    assert (output.written(), output.position, output.tail(0)) == (False, 0, "")


def test_what_is_written_is_noticed_and_read_back(output: Output) -> None:
    os.write(output.fd, "zwölf\n".encode())
    assert output.written()
    assert output.tail(output.start) == "zwölf\n"


def test_each_task_sees_its_own(output: Output) -> None:
    os.write(output.fd, b"first")
    assert output.mark() == 5
    assert not output.written()
    assert output.tail(output.start) == ""
    os.write(output.fd, b"second")
    assert output.written()
    assert output.tail(output.start) == "second"


def test_only_the_end_is_read(output: Output) -> None:
    os.write(output.fd, b"0123456789")
    assert output.tail(0, 4) == "6789"
    assert output.tail(8, 4) == "89"
    assert output.tail(0, 4, end=5) == "1234"


def test_bytes_that_are_no_text_become_text_of_bounded_size(output: Output) -> None:
    os.write(output.fd, b"a\xffb\0c")
    assert output.tail(0) == "a\ufffdbc"
    os.write(output.fd, b"\xff" * 2 * LOG_MAX)
    assert len(output.tail(0).encode()) <= LOG_MAX


def test_between_tasks_a_long_file_is_begun_anew_and_its_memory_given_back(output: Output) -> None:
    os.write(output.fd, b"x" * (2 * MIB))
    assert output.mark() == 0
    assert not output.written()
    assert used(output) <= os.sysconf("SC_PAGE_SIZE")
    os.write(output.fd, b"next")
    assert output.tail(output.start) == "next"


def test_while_a_task_runs_only_the_end_of_a_long_output_stays(output: Output) -> None:
    os.write(output.fd, b"before")
    start = output.mark()
    os.write(output.fd, b"x" * (5 * MIB) + b"the end")
    output.trim(start)
    assert output.position - start == LOG_MAX
    assert output.tail(start).endswith("xthe end")
    assert used(output) < MIB
    os.write(output.fd, b", and more")
    assert output.tail(start, 17) == "the end, and more"
    assert output.written()


def test_a_short_output_is_left_alone(output: Output) -> None:
    os.write(output.fd, b"short")
    output.trim(0)
    assert output.tail(0) == "short"


def test_the_file_cannot_grow(output: Output) -> None:
    os.lseek(output.fd, 64 * MIB, os.SEEK_SET)
    with pytest.raises(OSError) as caught:
        os.write(output.fd, b"more")
    assert caught.value.errno == errno.EPERM
    assert output.mark() == 0, "the next task finds room again"


def _child(output: Output, pipe: Connection) -> None:
    output.redirect()
    print("printed")
    print("of errors", file=sys.stderr)
    os.write(1, b"written")
    pipe.send_bytes(b"intact" if output.intact() else b"gone")
    pipe.recv_bytes()
    for _ in range(90):
        print("y" * MIB)  # more than there is room for
    print("the end", end="")
    pipe.send_bytes(b"written" if output.written() else b"quiet")
    pipe.recv_bytes()
    kept = os.dup(output.fd)
    os.close(output.fd)
    pipe.send_bytes(b"intact" if output.intact() else b"gone")
    pipe.recv_bytes()
    os.dup2(kept, output.fd)
    os.close(1)
    pipe.send_bytes(b"intact" if output.intact() else b"gone")
    pipe.recv_bytes()


def test_a_spawned_childs_standard_output_is_read_by_its_parent_even_after_its_death(output: Output) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_child, args=(output, theirs))
    child.start()
    assert ours.recv_bytes() == b"intact"
    assert output.tail(0) == "printed\nof errors\nwritten"
    ours.send_bytes(b"go on")
    assert ours.recv_bytes() == b"written"
    assert output.tail(0).endswith("y\nthe end")
    ours.send_bytes(b"close the descriptor")
    assert ours.recv_bytes() == b"gone"
    ours.send_bytes(b"close standard output")
    assert ours.recv_bytes() == b"gone"
    child.kill()
    child.join()
    assert output.tail(0).endswith("y\nthe end")
    ours.close()
    theirs.close()


def test_nobody_can_cut_it_short_under_those_who_read_it(output: Output) -> None:
    """As `echo > /dev/stderr` in a script would: a mapped file that was cut is death by SIGBUS."""
    os.write(output.fd, b"said")
    for cut in (
        lambda: os.ftruncate(output.fd, 0),
        lambda: os.open(f"/proc/self/fd/{output.fd}", os.O_WRONLY | os.O_TRUNC),
    ):
        with pytest.raises(PermissionError):
            cut()
    assert output.tail(0) == "said"
