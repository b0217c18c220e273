"""qmanager keeps the tasks: clients add them, workers take them, and none is lost.

Usage:
  qmanager [options] [-v]...
  qmanager check [options] [-v]...
  qmanager backup FILE [options] [-v]...
  qmanager copy SOURCE TARGET [--anew] [options] [-v]...
  qmanager migrate [--plan] [--sql] [options] [-v]...
  qmanager tls init [--hosts NAMES] [--force] [options] [-v]...
  qmanager key add NAME --role ROLE [options] [-v]...
  qmanager key remove NAME [options] [-v]...
  qmanager key list [options] [-v]...
  qmanager (-h | --help)
  qmanager --version

Commands:
  check    Look through the store, also beside a running manager, and print what is wrong with it.
  backup   Copy the store to FILE, also beside a running manager; only --store matters to both.
  copy     Copy the store SOURCE, with all that is in it, to the empty store TARGET: sqlite:PATH or
           postgresql://USER@HOST/DATABASE, from any to any. No manager may run on either. Said again
           after it was stopped it goes on from there; in the end all rows are compared.
  migrate  Bring the tables of --store up to date, as a manager does when it starts.
  tls      Make a certificate and its private key (tls.crt and tls.key in QM_HOME), and print the
           fingerprint by which clients know it.
  key      Change or print who may come in: the file of --authkey-file. add prints the new key, once.

Options:
  --rpc ADDRESS        Where clients and workers connect (QM_RPC, default 127.0.0.1:8090).
  --http ADDRESS       Where the page is (QM_HTTP, default 127.0.0.1:8080); off: no page.
  --store URL          sqlite:PATH, postgresql://USER@HOST/DATABASE, or memory: to keep nothing (QM_STORE,
                       default queue.db in QM_HOME or ~/.qmanager).
  --durability WORD    full: what is acknowledged survives a power cut; relaxed: faster, and a power
                       cut may undo the last moments (QM_DURABILITY, default full).
  --no-migrate         Do not start over a store of an older qmanager, but say what it misses.
  --plan               Only print the migrations that the store misses.
  --sql                ... with their SQL.
  --anew               Throw away what an unfinished copy has in TARGET, and begin from the start.
  --tls                Speak TLS 1.3, and nothing else, with the certificate in QM_HOME (QM_TLS=on).
                       Then --rpc may be an address that other machines reach.
  --tls-cert FILE      ... with another certificate (PEM), and
  --tls-key FILE       its private key.
  --insecure-bind      Listen on other addresses than this machine's own. Everybody on the way can
                       then read the tasks and change them: only where you trust the whole network.
  --show-payloads      Show tasks, with their inputs and outputs, to other machines too: the page has no
                       login yet (QM_SHOW_PAYLOADS=yes). Without it they see counts and types.
  --hosts NAMES        More names of this host, by commas: tasks.example.org (QM_HOSTS). The page refuses
                       requests for any other, and shows tasks for these only with --show-payloads; tls
                       init writes them, or addresses, into the certificate.
  --authkey-file FILE  The keys of clients and workers; made with one at the first start
                       (QM_AUTHKEY_FILE, default authkey in QM_HOME or ~/.qmanager).
  --force              In place of what is there.
  --role ROLE          client: adds tasks and reads them; worker: runs them; operator: everything.
  --ready-file FILE    Write a file once everything serves, with a line "rpc HOST:PORT" and, if there
                       is a page, a line "http HOST:PORT".
  --log-level LEVEL    debug, info, warning, error or critical; info,qm.wire=debug for one logger
                       more (QM_LOG_LEVEL, default info).
  --log-format FORMAT  text or json (QM_LOG_FORMAT, default text).
  -v, --verbose        -vv shows where errors come from.
  -h, --help           Show this.
  --version            Show the version.

Port 0 takes a free port.

SIGTERM and Ctrl-C answer the calls under way and stop; a second one stops at once. SIGHUP reads keys and
certificate again: connections whose key is gone end, all others stay.

Exit codes: 0 told to stop; 1 failed; 2 wrong usage; 65 the store is damaged or not ours; 70 the store
or its disk failed; 130 and 143 told twice to stop.
"""

from __future__ import annotations

from collections.abc import Sequence

from qm import logs
from qm.cli.arguments import Arguments
from qm.cli.commands.backup import backup
from qm.cli.commands.check import check
from qm.cli.commands.copy import copy
from qm.cli.commands.key import key
from qm.cli.commands.migrate import migrate
from qm.cli.commands.tls import init
from qm.cli.exits import Exit
from qm.cli.program import run
from qm.cli.settings import Settings


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until a signal says to stop, and gives the exit code."""
    return run("qmanager", __doc__, argv, _work)


def _work(arguments: Arguments) -> int:
    if arguments.has("check"):
        return check(arguments)
    if arguments.has("backup"):
        return backup(arguments)
    if arguments.has("copy"):
        return copy(arguments)
    if arguments.has("migrate"):
        return migrate(arguments)
    if arguments.has("tls"):
        return init(arguments)
    if arguments.has("key"):
        return key(arguments)
    return _serve(arguments)


def _serve(arguments: Arguments) -> int:
    settings = Settings.of(arguments)
    logs.configure(settings.log_level, settings.log_format, "qmanager")
    from qm.cli.serving import Service, prepare_process  # --help and --version do without
    from qm.cli.signals import Signals

    prepare_process()
    with Signals() as signals:
        service = Service(settings)
        service.start()
        try:
            service.watch(signals)
        finally:
            service.stop()
    return Exit.OK


if __name__ == "__main__":
    raise SystemExit(main())
