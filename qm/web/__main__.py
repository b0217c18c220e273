"""The web process: started, watched and restarted by qmanager, and told what to do by one line on its stdin.

It says one line on stdout when it serves (see `qm.wire.handover`), and goes when its stdin ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from typing import Final

from qm import logs
from qm.errors import BadRequest
from qm.web.app import build
from qm.web.lifeline import follow_parent, hold_signals, on_end
from qm.web.reader import Reader
from qm.web.server import Server
from qm.wire.address import Address
from qm.wire.handover import WebConfig, WebExit, WebReady
from qm.wire.remote import Remote

_log = logging.getLogger(__name__)

_STDIN: Final = 0
_STDOUT: Final = 1

#: Bytes of the configuration.
_LINE_MAX: Final = 64 * 1024


def main() -> int:
    """Serves until it is told to end. Gives a `WebExit`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent stops us
    follow_parent()
    try:
        config = _read_config()
        if config.parent is not None and config.parent != os.getppid():
            return WebExit.OK  # it died before the kernel was asked to tell us
        hold_signals()
        logs.configure(config.log_level, config.log_format, "qmanager-web")
        logs.forget_threads()
        # A request that waits for a thread is no news.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        return _serve(config)
    except BadRequest as error:
        _complain(str(error), error.hint)
        return WebExit.BAD_CONFIG
    except Exception:
        _log.exception("the web process cannot go on")
        return WebExit.FAILED


def _serve(config: WebConfig) -> int:
    reader = Reader(Remote(config.rpc, config.key, config.tls))
    app = build(reader, config.http, hosts=config.hosts, show_payloads=config.show_payloads, rpc=config.rpc)
    try:
        server = Server(app, config.http)
    except OSError as error:
        _complain(_why_deaf(config.http, error), "choose another by --http HOST:PORT, or stop what uses it")
        return WebExit.CANNOT_LISTEN
    on_end(server.stop, _STDIN)
    with contextlib.suppress(BrokenPipeError):  # then stdin has ended too
        os.write(_STDOUT, WebReady(server.address).to_line())
    server.run()
    return WebExit.OK


def _why_deaf(address: Address, error: OSError) -> str:
    # Python's own text repeats the address; a name that does not resolve has another kind of code, below zero
    why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
    return f"cannot listen on port {address.port} of {address.host}: {why.lower()}"


def _read_config() -> WebConfig:
    if os.isatty(_STDIN):
        raise BadRequest("this is a part of qmanager, which starts it by itself", hint="start qmanager")
    line = b""
    while b"\n" not in line and len(line) <= _LINE_MAX and (chunk := os.read(_STDIN, 4096)):
        line += chunk
    if b"\n" not in line:
        raise BadRequest("there is no configuration on stdin", hint="start qmanager, which starts this")
    return WebConfig.of_line(line.partition(b"\n")[0])


def _complain(text: str, hint: str | None) -> None:
    """To stderr and not to the log: it may not be configured yet, and it is for whoever starts us."""
    lines = [f"qmanager-web: {text}", *([f"hint: {hint}"] if hint else [])]
    print("\n".join(lines), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
