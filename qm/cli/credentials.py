"""What qmanager asks of those who come, and what it shows them: the keys it knows, and its certificate."""

from __future__ import annotations

import logging
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qm import environment
from qm.cli.settings import TLSFiles
from qm.clock import SystemClock
from qm.errors import BadRequest
from qm.manager.admission import Admission
from qm.wire.keys import is_missing, make_key, new_secret, read_keys
from qm.wire.roles import Key, Role

if TYPE_CHECKING:
    from qm.wire.servertls import ServerTLS

_log = logging.getLogger(__name__)

#: Seconds before its end from which a certificate is warned about at each start.
_SOON: Final = 30 * 86400.0


class Credentials:
    """The files of keys and certificate, and a key of the web process's own, which no file has."""

    def __init__(self, authkey_file: Path, tls: TLSFiles | None) -> None:
        self._authkey_file = authkey_file
        self._tls = tls
        self._web = Key("web", Role.CLIENT, new_secret())

    @property
    def web_secret(self) -> bytes:
        """The web process's key."""
        return self._web.secret

    @property
    def web_tls(self) -> str:
        """How the web process knows the manager, as `qm.wire.trust` reads it; also after a renewal."""
        return f"pin:{self._tls.certificate.absolute()}" if self._tls is not None else ""

    def open(self) -> Admission:
        """Reads the files; at the first start of all a key is made. Raises `BadRequest`."""
        if is_missing(self._authkey_file):
            make_key(self._authkey_file)
            _log.info("made a key for clients and workers: %s", self._authkey_file)
        else:
            _log.info("clients and workers need a key of those in %s", self._authkey_file)
        with suppress(BadRequest, OSError):  # all files may be elsewhere
            home = environment.home()
            if stat.S_IMODE(home.stat().st_mode) & 0o077:
                _log.warning("%s is open to other users; chmod 700 %s", home, home)
        return self.read()

    def read(self) -> Admission:
        """Reads the files as they are now. Raises `BadRequest` where one of them cannot be used."""
        keys = read_keys(self._authkey_file)
        return Admission.of((*keys, self._web), self._load_tls())

    def _load_tls(self) -> ServerTLS | None:
        if self._tls is None:
            return None
        from qm.wire.certificate import end_of  # OpenSSL and cryptography only where TLS is spoken
        from qm.wire.servertls import ServerTLS

        loaded = ServerTLS.load(*self._tls)
        left = end_of(self._tls.certificate.read_bytes()) - SystemClock().now()
        if left < 0:
            _log.warning("the certificate %s has expired; only who pins it comes in", self._tls.certificate)
        elif left < _SOON:
            _log.warning("the certificate %s expires in %.0f days", self._tls.certificate, left / 86400)
        _log.info("speaking TLS 1.3 with the certificate %s", loaded.fingerprint)
        return loaded
