"""tls init: a certificate for a manager that has none."""

from __future__ import annotations

import os
from pathlib import Path

from qm import environment
from qm.cli.arguments import Arguments
from qm.cli.exits import Exit
from qm.cli.terminal import hint
from qm.clock import SystemClock
from qm.errors import BadRequest
from qm.wire.keys import replace_secret


def init(arguments: Arguments) -> int:
    """Writes certificate and key, and prints the fingerprint that clients pin."""
    certificate, key = environment.tls_certificate(), environment.tls_key()
    if not arguments.has("--force"):
        for path in (certificate, key):
            if os.path.exists(path):  # one of a folder that we may not read is refused when it is written
                raise BadRequest(
                    f"{path} is there already, and clients may have pinned it",
                    hint="--force makes a new one in its place",
                )
    from qm.wire.certificate import make_certificate  # cryptography is not for --help
    from qm.wire.servertls import digest_of, fingerprint

    hosts = [host.strip() for text in arguments.texts("--hosts") for host in text.split(",")]
    made = make_certificate([host for host in hosts if host], SystemClock().now())
    _write(key, made.key)
    _write(certificate, made.certificate)
    print(fingerprint(digest_of(certificate)))
    hint(f"start qmanager with --tls; it uses {certificate} and {key.name} beside it")
    hint("on other hosts: --tls-fingerprint and what is printed above, or QM_TLS_FINGERPRINT")
    return Exit.OK


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_secret(path, data)
    except OSError as error:
        raise BadRequest(
            f"cannot write {path}: {error.strerror}", hint="choose another folder by QM_HOME"
        ) from None
