"""qmsimulator --chaos: from its words to a plan, and from the findings to an exit code."""

from __future__ import annotations

import random
import shlex
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from qm.cli.arguments import Arguments
from qm.cli.exits import Exit
from qm.cli.meter import meter
from qm.errors import BadRequest
from qm.simulator.chaos import Chaos, ChaosPlan, Progress, Result, report

#: What only a chaos run can use, and what it cannot.
_ITS_OWN: Final = (
    *("--duration", "--kills", "--managers", "--pools", "--store", "--durability", "--database-crash"),
    "--report",
)
_NOT_FOR_IT: Final = (
    *("--count", "--delay", "--audit", "--encoder-cost", "--no-workers"),
    *("--rpc", "--authkey-file", "--tls-fingerprint", "--tls-ca"),
)

#: Seconds between two kills of the manager, where their number is not given.
_KILL_EVERY: Final = 6.0

#: Below this a seed is drawn: short enough to be read out and typed.
_SEEDS: Final = 1_000_000


def draw_seed() -> int:
    """Another one each time."""
    return random.SystemRandom().randrange(_SEEDS)


def refuse_chaos_options(arguments: Arguments) -> None:
    """Raises `BadRequest` for what only makes sense with --chaos."""
    _refuse(arguments, _ITS_OWN, "is for --chaos")


def work_in_chaos(arguments: Arguments) -> int:
    """One run. Raises `BadRequest` for what cannot be done."""
    _refuse(arguments, _NOT_FOR_IT, "is not for --chaos, which has a manager, pools and tasks of its own")
    plan = _plan(arguments)
    command = repeat(plan)
    print(f"{plan}; repeat it with: {command}", flush=True)
    with meter("qmsimulator", None) as bar:

        def show(progress: Progress) -> None:
            bar.show(str(progress), progress.ended)

        result = Chaos(plan, show).run()
    print(report.text(result))
    if (path := arguments.path("--report")) is not None:
        _write(path, result, command)
    return Exit.OK if result.holds else Exit.FAILED


def repeat(plan: ChaosPlan) -> str:
    """The command for the same run. Of the store's address and the command that crashes it nothing is said:
    they may hold a password."""
    words = ["qmsimulator", "--chaos", "--seed", str(plan.seed), "--duration", f"{plan.duration:g}"]
    words += ["--kills", str(plan.kills), "--producers", str(plan.producers), "--pools", str(plan.pools)]
    words += ["--processes", str(plan.processes), "--durability", plan.durability]
    if plan.managers > 1:
        words += ["--managers", str(plan.managers)]
    if plan.has_database:
        words += ["--store", f"{plan.store_kind}://..."]
    if plan.database_crash is not None:
        words += ["--database-crash", "..."]
    return shlex.join(words)


def _plan(arguments: Arguments) -> ChaosPlan:
    plan = ChaosPlan(seed=draw_seed())
    given_duration = arguments.seconds("--duration")
    duration = plan.duration if given_duration is None else given_duration
    kills = arguments.whole("--kills")
    given = {
        "seed": arguments.whole("--seed"),
        "duration": duration,
        "kills": max(1, int(duration / _KILL_EVERY)) if kills is None else kills,
        "managers": arguments.whole("--managers"),
        "producers": arguments.whole("--producers"),
        "pools": arguments.whole("--pools"),
        "processes": arguments.whole("--processes"),
        "store": arguments.text("--store"),
        "durability": arguments.one_of("--durability", ("full", "relaxed")),
        "database_crash": arguments.text("--database-crash"),
    }
    return replace(plan, **{name: value for name, value in given.items() if value is not None})


def _refuse(arguments: Arguments, names: tuple[str, ...], why: str) -> None:
    for name in names:
        if arguments.has(name):
            raise BadRequest(f"{name} {why}")


def _write(path: Path, result: Result, command: str) -> None:
    try:
        path.write_text(report.markdown(result, command), "utf-8")
    except OSError as error:
        raise BadRequest(f"cannot write the report {path}: {error.strerror}") from None
