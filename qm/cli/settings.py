"""What qmanager was told: flag before QM_* before built-in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast

from msgspec import Struct

from qm import environment
from qm.cli.arguments import Arguments
from qm.errors import BadRequest
from qm.wire.address import Address, parse_address

Durability = Literal["full", "relaxed"]

#: What --http says for no page.
_OFF: Final = ("off", "none")

#: What QM_SHOW_PAYLOADS says.
_YES: Final = ("yes", "true", "on", "1")
_NO: Final = ("no", "false", "off", "0")


class TLSFiles(NamedTuple):
    """Where the manager's certificate and its private key are."""

    certificate: Path
    key: Path


class Settings(Struct, frozen=True, kw_only=True):
    """How a manager runs. `http`, `tls` or `ready_file` None: without a page, TLS, that file. `hosts` are
    further names of the page, which shows tasks to other machines only with `show_payloads`. `may_migrate`
    False: it does not start over a store whose schema is of before."""

    rpc: Address
    http: Address | None
    store: str
    durability: Durability
    authkey_file: Path
    tls: TLSFiles | None = None
    ready_file: Path | None = None
    hosts: tuple[str, ...] = ()
    show_payloads: bool = False
    may_migrate: bool = True
    log_level: str = "info"
    log_format: str = "text"

    @classmethod
    def of(cls, arguments: Arguments) -> Settings:
        """What the command line says, else the environment. Raises `BadRequest`."""
        rpc = _listening(arguments.text("--rpc") or environment.rpc())
        page = arguments.text("--http") or environment.http()
        http = None if page.lower() in _OFF else parse_address(page, environment.HTTP_PORT)
        tls = _tls(arguments)
        if not arguments.has("--insecure-bind"):
            if tls is None:
                refuse_open(rpc, "--rpc")
            if http is not None:
                refuse_open(http, "--http")
        return cls(
            rpc=rpc,
            http=http,
            store=arguments.text("--store") or environment.store(),
            durability=_durability(arguments),
            authkey_file=arguments.path("--authkey-file") or environment.authkey_file(),
            tls=tls,
            ready_file=arguments.path("--ready-file"),
            hosts=_hosts(arguments.text("--hosts") or environment.hosts()),
            show_payloads=arguments.has("--show-payloads") or _is_yes(environment.show_payloads()),
            may_migrate=not arguments.has("--no-migrate"),
            log_level=arguments.text("--log-level") or environment.log_level(),
            log_format=arguments.text("--log-format") or environment.log_format(),
        )


def _listening(text: str) -> Address:
    if "," in text:
        raise BadRequest(
            f"a manager listens at one address, not at {text[:80]!r}",
            hint="several are for clients and workers; each manager has its own --rpc",
        )
    return parse_address(text, environment.RPC_PORT)


def refuse_open(address: Address, flag: str) -> None:
    """Raises `BadRequest` for an address that other machines can reach."""
    if not address.is_loopback:
        raise BadRequest(
            f"will not listen on {address}: without TLS, everybody on the way can read and change the tasks",
            hint=f"{flag} 127.0.0.1:{address.port}, or --insecure-bind where you trust the whole network"
            + ("; or encrypt: qmanager tls init, then --tls" if flag == "--rpc" else ""),
        )


def _tls(arguments: Arguments) -> TLSFiles | None:
    certificate, key = arguments.path("--tls-cert"), arguments.path("--tls-key")
    if (certificate is None) != (key is None):
        raise BadRequest("--tls-cert and --tls-key go together")
    if certificate is not None and key is not None:
        return TLSFiles(certificate, key)
    if arguments.has("--tls") or environment.tls_on():
        return TLSFiles(environment.tls_certificate(), environment.tls_key())
    return None


def _hosts(text: str) -> tuple[str, ...]:
    names = tuple(name for name in (part.strip() for part in text.split(",")) if name)
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", name):
            raise BadRequest(
                f"--hosts has names as tasks.example.org, by commas, not {name[:80]!r}",
                hint="without a scheme and a port",
            )
    return names


def _is_yes(text: str) -> bool:
    word = text.lower()
    if word not in (*_YES, *_NO):
        raise BadRequest(f"QM_SHOW_PAYLOADS is yes or no, not {text[:80]!r}")
    return word in _YES


def _durability(arguments: Arguments) -> Durability:
    word = arguments.text("--durability") or environment.durability()
    if word not in ("full", "relaxed"):
        raise BadRequest(f"--durability is full or relaxed, not {word[:80]!r}")
    return cast(Durability, word)
