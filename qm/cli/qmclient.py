"""qmclient adds tasks and reads their results.

Usage:
  qmclient add --type TYPE [--input TEXT | --input-json JSON] [--id ID] [--priority N]
               [--in TIME] [--attempts N] [--wait TIME] [options] [-v]...
  qmclient add --file FILE [--wait TIME] [options] [-v]...
  qmclient get (ID... | (--id ID)...) [--wait TIME] [options] [-v]...
  qmclient show (ID... | (--id ID)...) [options] [-v]...
  qmclient cancel (ID... | (--id ID)...) [options] [-v]...
  qmclient requeue (ID... | (--id ID)...) [options] [-v]...
  qmclient forget (ID... | (--id ID)...) [options] [-v]...
  qmclient status [options] [-v]...
  qmclient list [--state STATE]... [--type TYPE] [--limit N] [options] [-v]...
  qmclient payload-key
  qmclient (-h | --help)
  qmclient --version

Commands:
  add      Add a task, or one for each line of a file, and print its id.
  get      Print the results of tasks. Reading never deletes.
  show     Print all that is known of tasks: state and reason, every attempt, its last words.
  cancel   End tasks: those that wait at once, those that run as soon as their workers have stopped them.
  requeue  Give failed tasks another chance.
  forget   Delete ended tasks.
  status   Print how many tasks there are, and who works.
  list     Print tasks: ended ones newest first, others in the order in which they will run.
  payload-key
           Print a new key to seal inputs, outputs and errors with, for QM_PAYLOAD_KEYS.

Options:
  --type TYPE          Which operation the task is for, as fibonacci.
  --input TEXT         The task's input, as text; - reads it from stdin.
  --input-json JSON    The task's input, as any JSON value; - reads it from stdin.
  --file FILE          Lines like {"type": "fibonacci", "input": 15}; also id, priority, in, attempts,
                       timeout and keep. - is stdin.
  --id ID              The task's id. An id of your own makes adding safe to repeat.
  --priority N         -32768 to 32767, higher runs first (default 0).
  --in TIME            Not before so much time is over: 10, 10s, 5m, 2h, 1d.
  --attempts N         How often it may fail (default 5, or what the operation says).
  --wait TIME          Wait so long for the end, and print the result.
  --state STATE        blocked, scheduled, waiting, running, done, failed or cancelled (default all).
  --limit N            How many to list (default 50; 0 lists all).
  -o FORMAT            text, json, jsonl (one line a task) or id. Without it: text on a terminal, bare
                       values in a pipe.
  --json               The same as -o json.
  --rpc ADDRESS        Where the manager is (QM_RPC, default 127.0.0.1:8090).
  --authkey-file FILE  The manager's key (QM_AUTHKEY_FILE, default authkey in QM_HOME or ~/.qmanager).
  --tls-fingerprint X  The manager speaks TLS and has the certificate with this fingerprint, as
                       qmanager tls init prints it (QM_TLS_FINGERPRINT).
  --tls-ca FILE        ... or any certificate for its host that a CA in FILE has signed (QM_TLS_CA).
                       Without both: no TLS, or with QM_TLS=on the certificate in QM_HOME.
  -v, --verbose        Log what happens; -vv logs more and shows where errors come from.
  -h, --help           Show this.
  --version            Show the version.

QM_PAYLOAD_KEYS, or a file that QM_PAYLOAD_KEYS_FILE names, has the keys that inputs, outputs and errors are
sealed with, newest first; without either they are not sealed.

Exit codes: 0 well; 1 failed; 2 wrong usage; 3 no such task; 4 the key or the certificate was refused; 5 the
task failed or was cancelled; 6 not ended in time; 7 no manager; 70 the store failed; 130 interrupted.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from qm import logs
from qm.cli.arguments import Arguments
from qm.cli.commands import add, change, get, listing, show, status
from qm.cli.exits import Exit
from qm.cli.manager import Manager, find_manager
from qm.cli.output import Output
from qm.cli.program import run
from qm.cli.terminal import hint
from qm.client import Client
from qm.sealing import new_key

_COMMANDS: Final[dict[str, Callable[[Arguments, Client, Output], int]]] = {
    "add": add.add,
    "get": get.get,
    "show": show.show,
    "cancel": change.cancel,
    "requeue": change.requeue,
    "forget": change.forget,
    "status": status.status,
    "list": listing.list_,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit code."""
    return run("qmclient", __doc__, argv, _work)


def _work(arguments: Arguments) -> int:
    # an integer result may have millions of digits; Python's bound is against foreign input, this is our own
    sys.set_int_max_str_digits(0)
    if arguments.has("payload-key"):
        print(new_key())
        return Exit.OK
    command = next(work for name, work in _COMMANDS.items() if arguments.has(name))
    output = Output.of(arguments)
    manager = find_manager(arguments)
    with _log(arguments.count("--verbose")), _client(manager) as client:
        return command(arguments, client, output)


def _client(manager: Manager) -> Client:
    return Client(manager.address, manager.authkey, tls=manager.tls)


@contextmanager
def _log(verbose: int) -> Iterator[None]:
    """Lets the client's warnings out, as hints; with -v as log lines, and more of them."""
    if verbose:
        logs.configure("info" if verbose == 1 else "debug", "text", "qmclient")
        yield
        return
    logger, handler = logging.getLogger("qm.client"), _Hints(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Hints(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        hint(record.getMessage())


if __name__ == "__main__":
    raise SystemExit(main())
