"""Where a database is, as a URL says it."""

from __future__ import annotations

import os
import socket
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from qm.errors import BadRequest

#: What a URL may say otherwise. A host that answers nothing is given up after seconds, a dead connection
#: found within half a minute; of several hosts the one that takes writes is meant.
_DEFAULTS: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    "target_session_attrs": "read-write",
}


class Address:
    """A database's place. `str()` is safe to show: it never has the password."""

    def __init__(self, url: str) -> None:
        """Raises `BadRequest` where `url` cannot be read."""
        try:
            said = conninfo_to_dict(url)
        except psycopg.Error:  # its text may repeat the URL, and with it a password
            raise BadRequest(
                "the store's URL cannot be read",
                hint="write postgresql://user@host:port/database, with special characters as %XX",
            ) from None
        name = f"qmanager {socket.gethostname()}:{os.getpid()}"
        #: What psycopg.connect is called with.
        self.parameters: dict[str, Any] = {**_DEFAULTS, "application_name": name, **said}
        self.parameters["client_encoding"] = "UTF8"
        self._shown = _shown(said)

    def __str__(self) -> str:
        return self._shown


def _shown(said: dict[str, Any]) -> str:
    hosts = str(said.get("host", "")).split(",")
    ports = str(said.get("port", "")).split(",")
    ports += ports[:1] * (len(hosts) - len(ports))
    places = [f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False)]
    return f"postgresql://{','.join(places)}/{said.get('dbname', '')}"
