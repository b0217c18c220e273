"""qmworker runs tasks in a pool of processes.

Usage:
  qmworker [--type TYPE]... [--load MODULE]... [options] [-v]...
  qmworker (-h | --help)
  qmworker --version

Options:
  --type TYPE          Run only tasks of this type; may be given often. all, as without it, means
                       every type that is loaded.
  --load MODULE        Load the Operations of this Python module, beside the built-in ones; may be
                       given often.
  --processes N        How many tasks may run at once, each in a process (default one per processor).
  --delay TIME         Pause between two tasks of a process (default 0).
  --drain TIME         How long running tasks may take to end when the pool is told to leave (default
                       25 s); then they are stopped and given back.
  --rpc ADDRESS        Where the manager is, or several of one queue, by commas (QM_RPC, default
                       127.0.0.1:8090).
  --authkey-file FILE  The manager's key (QM_AUTHKEY_FILE, default authkey in QM_HOME or ~/.qmanager).
  --tls-fingerprint X  The manager speaks TLS and has the certificate with this fingerprint, as
                       qmanager tls init prints it; several by commas (QM_TLS_FINGERPRINT).
  --tls-ca FILE        ... or any certificate for its host that a CA in FILE has signed (QM_TLS_CA).
                       Without both: no TLS, or with QM_TLS=on the certificate in QM_HOME.
  --log-level LEVEL    debug, info, warning, error or critical; info,qm.wire=debug for one logger
                       more (QM_LOG_LEVEL, default info).
  --log-format FORMAT  text or json (QM_LOG_FORMAT, default text).
  -v, --verbose        -vv shows where errors come from.
  -h, --help           Show this.
  --version            Show the version.

QM_PAYLOAD_KEYS, or a file that QM_PAYLOAD_KEYS_FILE names, has the keys that inputs, outputs and errors are
sealed with, newest first; without either they are not sealed.

Times are in seconds, or as 10s, 5m, 2h, 1d.

SIGTERM and Ctrl-C let running tasks end first; a second one does not wait.

Exit codes: 0 told to leave; 1 failed; 2 wrong usage, or operations that cannot be loaded; 4 the key or
certificate was refused; 7 no manager.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qm import environment, logs
from qm.cli.arguments import Arguments
from qm.cli.manager import find_manager
from qm.cli.program import run


def main(argv: Sequence[str] | None = None) -> int:
    """Works until a signal says to leave, and gives the exit code."""
    return run("qmworker", __doc__, argv, _work)


def _work(arguments: Arguments) -> int:
    level = arguments.text("--log-level") or environment.log_level()
    format_ = arguments.text("--log-format") or environment.log_format()
    logs.configure(level, format_, "qmworker")
    manager = find_manager(arguments)
    from qm.worker import Worker  # --help and --version do without

    types = arguments.texts("--type")
    drain = arguments.seconds("--drain")
    own: dict[str, Any] = {} if drain is None else {"drain": drain}
    return Worker(
        load=arguments.texts("--load"),
        types=None if not types or "all" in types else types,
        processes=arguments.whole("--processes"),
        address=manager.addresses,
        authkey=manager.authkey,
        tls=manager.tls,
        delay=arguments.seconds("--delay") or 0.0,
        **own,
        log_level=level,
        log_format=format_,
    ).run()


if __name__ == "__main__":
    raise SystemExit(main())
