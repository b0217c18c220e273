"""Around the whole application, its errors too: who is answered, and what every answer says of itself.

A page on this machine is within reach of every site that its user visits: such a site can let its own name
point here (DNS rebinding), and then reads what the page says. Its name stays in the Host header, so only
hosts that are ours are answered. An address in figures cannot be made to point elsewhere.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import secrets
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from qm.wire.address import Address

_log = logging.getLogger(__name__)

#: Nothing here changes anything; what does will have to be let in by name.
_METHODS: Final = ("GET", "HEAD")

_IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")

_PLAIN: Final = ("Content-Type", "text/plain; charset=utf-8")

#: What every answer says, unless its route says otherwise.
HEADERS: Final = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
        # a script of ours that wrote text as HTML would fail, whatever the text
        "require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)


class Hosts:
    """Which Host headers are ours. The port is not looked at: a tunnel has its own."""

    def __init__(self, address: Address, more: Iterable[str] = ()) -> None:
        """`address` is where we serve; `more` are further names."""
        self._only_loopback = address.is_loopback
        self._names = {"localhost", *(name.lower() for name in more)}
        if _parse_ip(address.host) is None:
            self._names.add(address.host.lower())
        if not self._only_loopback:
            self._names.add(socket.gethostname().lower())

    def allow(self, header: str) -> bool:
        """Whether this Host header, port and all, is ours."""
        match = _HOST.fullmatch(header)
        if match is None:
            return False
        host = (match[1] or match[2]).lower()
        ip = _parse_ip(host)
        return host in self._names or (ip is not None and self._allow_ip(ip))

    def _allow_ip(self, ip: _IP) -> bool:
        """Who serves other machines may be called by any address, behind a port mapping even by ones that he
        does not know."""
        return ip.is_loopback or not (self._only_loopback or ip.is_unspecified)


def _parse_ip(host: str) -> _IP | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class Guard:
    """The application as the server sees it."""

    def __init__(self, app: WSGIApplication, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start = _with_headers(start_response)
        host, method = environ.get("HTTP_HOST", ""), environ["REQUEST_METHOD"]
        if not self._hosts.allow(host):
            _log.info("refused a request for host %.100r", host)
            return _refuse(environ, start, "421 Misdirected Request", "this host is not served here")
        if method not in _METHODS:
            allowed = ", ".join(_METHODS)
            return _refuse(environ, start, "405 Method Not Allowed", f"only {allowed}", ("Allow", allowed))
        try:
            return self._app(environ, start)
        except Exception:
            mark = secrets.token_hex(4)
            _log.exception("internal error %s while serving %.200r", mark, environ.get("PATH_INFO"))
            text = f"something went wrong here; the log says more under {mark}"
            return _refuse(environ, start, "500 Internal Server Error", text, exc_info=sys.exc_info())


def _with_headers(start_response: StartResponse) -> StartResponse:
    """`start_response` that adds what every answer says."""

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        said = {name.lower() for name, _ in headers}
        more = [header for header in HEADERS if header[0].lower() not in said]
        return start_response(status, [*headers, *more], exc_info)

    return start


def _refuse(
    environ: WSGIEnvironment,
    start_response: StartResponse,
    status: str,
    text: str,
    *headers: tuple[str, str],
    exc_info: Any = None,
) -> Iterable[bytes]:
    body = f"{status}: {text}\n".encode()
    start_response(status, [_PLAIN, ("Content-Length", str(len(body))), *headers], exc_info)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
