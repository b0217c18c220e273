"""qmclient show: what a person reads who has to find out what happened."""

from __future__ import annotations

import signal

import pytest

from qm.client import Client
from qm.ids import new_id
from qm.messages import Crash, Details, Fail, Finish, Slot, TypeOptions, WorkerInfo
from qm.payload import pack, pack_failure
from qm.task import Failure, Lease, Outcome
from tests.cli.stage import Call


class Pool:
    """A pool by hand, that tells how its attempts ended."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._calls = 0
        self.slot = Slot(new_id(), 0, 0)
        info = WorkerInfo(
            session=self.slot.session, host="web1", pid=4711, processes=1, types={"mail": TypeOptions()}
        )
        client.attach(info)

    def take(self) -> Lease:
        taken = self._client.take(self.slot, ["mail"])
        assert taken is not None
        return taken.lease

    def crash(self, log: str) -> None:
        details = Details(pid=4712, exitcode=-signal.SIGSEGV, peak_memory=3 << 20, log=log)
        self._client.crashed(
            Crash(slot=self.slot, exitcode=-signal.SIGSEGV, current=self.take(), details=details)
        )
        self.slot = Slot(self.slot.session, 0, self.slot.incarnation + 1)

    def time_out(self) -> None:
        head = "Traceback (most recent call last):\n"
        trace = head + '  File "my.py", line 7, in send\nqm.errors.TimeLimitExceeded'
        error = pack_failure(Failure("TimeLimitExceeded", "over its limit of 5 s", trace))
        details = Details(pid=4713, peak_memory=1 << 20, log="one\ntwo \x1b[31m\n")
        self._client.fail_many([Fail(self.take(), error, False, Outcome.TIMEOUT, details)])


@pytest.fixture
def pool(client: Client) -> Pool:
    return Pool(client)


def test_a_dead_letter_tells_its_whole_story(call: Call, terminal: Call, client: Client, pool: Pool) -> None:
    id_ = client.add("mail", {"to": "ann"}, id="order-42", priority=3)
    pool.crash("last words\n")
    pool.time_out()
    said = terminal("show", id_)
    assert (said.code, said.err) == (0, "")
    lines = [line for line in said.lines if " 20" not in line]
    assert lines == [
        "Task order-42, mail",
        "  state     failed: not retryable",
        "  attempts  taken 2 times, 1 failed, 1 crashed",
        '  input     {"to": "ann"}',
        "",
        "  on web1:4711, process 4712, at most 3.0 MiB",
        "  ended by  SIGSEGV",
        "  log       its last lines",
        "    | last words",
        "",
        "  on web1:4711, process 4713, at most 1.0 MiB",
        "  error     TimeLimitExceeded: over its limit of 5 s",
        "    | Traceback (most recent call last):",
        '    |   File "my.py", line 7, in send',
        "    | qm.errors.TimeLimitExceeded",
        "  log       its last lines",
        "    | one",
        "    | two \\x1b[31m",
    ]
    timed = [line.split(" 20")[0] for line in said.lines if " 20" in line]
    assert timed == ["  added    ", "  ended    ", "Attempt 1: crashed,", "Attempt 2: timeout,"]
    assert call("show", "--id", id_).out == said.out, "a pipe gets the same: it may be a pager"


def test_json_has_all_fields(call: Call, client: Client, pool: Pool) -> None:
    id_ = client.add("mail", 1)
    pool.crash("x\n" * 100)
    pool.time_out()
    record = call("show", id_, "--json").json
    assert (record["id"], record["state"], record["error"]["type"]) == (id_, "failed", "TimeLimitExceeded")
    first, second = record["history"]
    assert (first["attempt"], first["outcome"], first["signal"]) == (1, "crashed", "SIGSEGV")
    assert (first["pid"], first["worker"], first["peak_memory"]) == (4712, "web1:4711", 3 << 20)
    assert first["log"] == "x\n" * 100
    assert (second["outcome"], second["error"]["message"]) == ("timeout", "over its limit of 5 s")


def test_of_a_long_log_the_last_lines_are_shown(call: Call, client: Client, pool: Pool) -> None:
    id_ = client.add("mail", 1)
    pool.crash("".join(f"line {n}\n" for n in range(100)))
    lines = call("show", id_).lines
    assert "    | ... 80 lines more; --json has them" in lines
    assert lines[-1] == "    | line 99"


def test_a_running_task_says_where_it_runs_and_that_it_is_cancelled(
    call: Call, client: Client, pool: Pool
) -> None:
    id_ = client.add("mail", 1)
    lease = pool.take()
    client.progress(lease, 0.25, "page 3")
    client.cancel(id_)
    state = call("show", id_).lines[1]
    assert "running since 20" in state
    assert state.endswith(
        "attempt 1 on web1:4711, 25% page 3; cancelled, its worker has been told to stop it"
    )


def test_states_without_an_attempt(call: Call, client: Client) -> None:
    waiting, scheduled = client.add("mail"), client.add("mail", delay=60)
    lines = call("show", waiting, scheduled).lines
    assert lines[1] == "  state     waiting"
    assert any(line.startswith("  state     scheduled, due 20") for line in lines)


def test_a_quiet_success_is_short(call: Call, client: Client, pool: Pool) -> None:
    id_ = client.add("mail", "in")
    client.finish_many([Finish(pool.take(), pack("out"))])
    lines = call("show", id_).lines
    assert "  output    out" in lines
    assert lines[-2].startswith("Attempt 1: ok, 20")
    assert lines[-1] == "  on web1:4711"


def test_an_unknown_id_is_said_and_the_others_are_shown(call: Call, client: Client) -> None:
    id_ = client.add("mail")
    said = call("show", "nope", id_)
    assert (said.code, said.lines[0]) == (3, f"Task {id_}, mail")
    assert "there is no task 'nope'" in said.err
