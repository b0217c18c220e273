"""qmsimulator sends random tasks and checks every result; with --chaos it breaks things meanwhile.

Usage:
  qmsimulator [options] [-v]...
  qmsimulator (-h | --help)
  qmsimulator --version

Producer processes send random tasks of the built-in types fibonacci, arithmetic, reverse and encoder, and its
own pool of workers runs them. Every result is read twice and checked against an independent computation.
Without --count it goes on until Ctrl-C; then it waits for the tasks that are out. A second Ctrl-C does not.

With --chaos it starts managers and pools of its own and, under load, kills and stops them at random moments
and cuts their connections, those to a database too; then everything may settle, and the logs of what each
client and worker was told are compared with what the managers have.

Options:
  --count N            Send so many tasks in all, wait for their results, and end.
  --producers N        How many processes send tasks (default 2).
  --delay TIME         The pause of each producer between two tasks: 1, 0.5, 2s (default 1). With 0 the tasks
                       are sent as fast as they are accepted.
  --audit              End with the line of the audit: sent, done, lost, finished twice.
  --seed N             The same seed and number of producers send the same tasks (default: another each time;
                       it is printed).
  --encoder-cost N     The bcrypt cost of the encoder's tasks, 4 to 16 (default: none is given, which is 10).
  --no-workers         Start no workers; others do the work.
  --processes N        How many processes its own workers have (default 2).
  --chaos              Break things. It knows the next eight options, --seed, --producers and, for each
                       pool, --processes.
  --duration TIME      How long things are broken: 90, 2m, 8h (default 60).
  --kills N            How often a manager is killed (default: every 6 s); for 2 of these, 5 workers are.
  --managers N         How many managers share the store (default 1); more than one need PostgreSQL.
  --pools N            How many pools of workers (default 2).
  --store URL          An empty store for the manager (default: a file that is removed in the end).
  --durability WORD    full or relaxed, as of qmanager (default full).
  --database-crash X   A shell command that crashes the PostgreSQL server and starts it again, and ends when
                       that is done; it is run once for 5 kills of managers, at least once.
  --report FILE        Write the figures there, as Markdown.
  --rpc ADDRESS        Where the manager is, or several of one queue, by commas (QM_RPC, default
                       127.0.0.1:8090).
  --authkey-file FILE  The manager's key (QM_AUTHKEY_FILE, default authkey in QM_HOME or ~/.qmanager).
  --tls-fingerprint X  The manager speaks TLS and has the certificate with this fingerprint, as
                       qmanager tls init prints it; several by commas (QM_TLS_FINGERPRINT).
  --tls-ca FILE        ... or any certificate for its host that a CA in FILE has signed (QM_TLS_CA).
                       Without both: no TLS, or with QM_TLS=on the certificate in QM_HOME.
  --log-level LEVEL    debug, info, warning, error or critical, for the workers too (QM_LOG_LEVEL, default
                       warning).
  --log-format FORMAT  text or json (QM_LOG_FORMAT, default text).
  -v, --verbose        -vv shows where errors come from.
  -h, --help           Show this.
  --version            Show the version.

Times run from the call of add to the moment when the producer has the result. "Lost" is a task whose add was
acknowledged and that the manager does not know any more; "finished twice" one whose result was replaced
after it had been read. With --chaos, "lost" is also an accepted result that is not there, "finished twice"
also a task of which two results were accepted; "claimed twice" is a task that two workers had by one claim,
or of which a second claim was given before the first had ended; "unexpected" is a task or a result that
nobody made, "recovered" a task whose add got no answer and that is there, "parked" one that failed after
three recorded deaths of its worker, "given in vain" one that was taken over 100 times. It passes if nothing
is lost, finished or claimed twice, unexpected, parked without those, given in vain or queued in the end.

Exit codes: 0 each task sent is done once, with the right result, or --chaos passed; 1 not so, or the workers
or a producer died; 2 wrong usage; 4 the key or certificate was refused; 7 no manager; 130 interrupted before
all of --count were sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from qm import environment, logs
from qm.cli.arguments import Arguments
from qm.cli.chaos import draw_seed, refuse_chaos_options, work_in_chaos
from qm.cli.exits import Exit
from qm.cli.manager import TLS_FLAGS, find_manager
from qm.cli.meter import meter
from qm.cli.program import run
from qm.errors import BadRequest
from qm.operations.encoder import COST_MAX, COST_MIN
from qm.simulator import Outcome, Plan, Pool, Simulation, report
from qm.wire.address import Address

_PROCESSES: Final = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the simulator and gives its exit code."""
    return run("qmsimulator", __doc__, argv, _work)


def _work(arguments: Arguments) -> int:
    logs.configure(*_log(arguments), program="qmsimulator")
    if arguments.has("--chaos"):
        return work_in_chaos(arguments)
    refuse_chaos_options(arguments)
    plan = _plan(arguments)
    manager = find_manager(arguments)
    pool = _pool(arguments, manager.addresses)
    print(f"{plan}; repeat it with --seed {plan.seed}", flush=True)
    with meter("qmsimulator", plan.count) as bar:

        def show(sent: int, ended: int) -> None:
            bar.show(f"{sent:,} sent, {ended:,} ended", ended)

        outcome = Simulation(plan, manager.addresses, manager.authkey, pool, show, manager.tls).run()
    _print(outcome, audit=arguments.has("--audit"))
    if not outcome.verdict.holds:
        return Exit.FAILED
    return Exit.INTERRUPTED if outcome.cut_short else Exit.OK


def _log(arguments: Arguments) -> tuple[str, str]:
    level = arguments.text("--log-level") or environment.log_level("warning")
    return level, arguments.text("--log-format") or environment.log_format()


def _plan(arguments: Arguments) -> Plan:
    """Raises `BadRequest` for what cannot be done."""
    given = {
        "producers": arguments.whole("--producers"),
        "count": arguments.whole("--count"),
        "delay": arguments.seconds("--delay"),
        "seed": arguments.whole("--seed"),
        "encoder_cost": arguments.whole("--encoder-cost"),
    }
    plan = Plan(seed=draw_seed())
    plan = replace(plan, **{name: value for name, value in given.items() if value is not None})
    if plan.encoder_cost is not None and not COST_MIN <= plan.encoder_cost <= COST_MAX:
        raise BadRequest(f"--encoder-cost is {COST_MIN} to {COST_MAX}, not {plan.encoder_cost}")
    return plan


def _pool(arguments: Arguments, addresses: Sequence[Address]) -> Pool | None:
    """The workers of the run's own. Raises `BadRequest`."""
    processes = arguments.whole("--processes")
    if not arguments.has("--no-workers"):
        wanted = _PROCESSES if processes is None else processes
        return Pool(wanted, addresses, arguments.path("--authkey-file"), *_log(arguments), _tls(arguments))
    if processes is not None:
        raise BadRequest("--processes is for workers of its own, and --no-workers says that there are none")
    return None


def _tls(arguments: Arguments) -> list[str]:
    """The TLS flags as they were given; the environment the workers read themselves."""
    given = [(flag, arguments.text(flag)) for flag in TLS_FLAGS]
    return [word for flag, value in given if value for word in (flag, value)]


def _print(outcome: Outcome, audit: bool) -> None:
    report.show(outcome.audit, outcome.verdict)
    print(f"{outcome.verdict.sent:,} tasks in {outcome.elapsed:.1f} s; the times are from add to result")
    if audit:
        print(outcome.verdict)


if __name__ == "__main__":
    raise SystemExit(main())
