"""Packing of inputs, outputs and errors: msgpack, made and read only by clients and workers.

The manager never decodes a payload: one nested message, decoded untyped, can exhaust a small C stack.

A sealed payload (`qm.sealing`) is an extension around a token. Everybody recognises it; who has no key gets
`Sealed`.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from qm.errors import BadPayload, Sealed, TooLarge
from qm.limits import MESSAGE_MAX, PAYLOAD_MAX, SEALING_MAX, TRACEBACK_MAX
from qm.task import Failure

#: msgpack's integers have 64 bits; larger ones travel as this extension: two's complement, big-endian.
_BIG_INT: Final = 1

#: ... a sealed payload is this one around its token ...
_SEALED: Final = 2

#: ... and this one, around the reason, stands for a payload that its reader has refused. It is never sent.
_REFUSED: Final = 3

#: A text that is sealed: a Fernet token behind a word. Nothing shorter, and nothing else in it, is one.
SEALED_TEXT: Final = "sealed:"
_SEALED_TEXT: Final = re.compile(rf"{SEALED_TEXT}gAAAA[A-Za-z0-9_-]{{90,}}={{0,2}}")

_NO_KEY: Final = "the value is sealed, and no key here opens it"
_GIVE_KEY: Final = "give this program the key it was sealed with: QM_PAYLOAD_KEYS or QM_PAYLOAD_KEYS_FILE"

#: Enough to tell tasks apart (128 bits), small enough to keep beside every id for a day.
_DIGEST_SIZE: Final = 16

_encoder = msgspec.msgpack.Encoder()


class Unopened(Struct, frozen=True):
    """Stands where a task has a payload that cannot be shown: sealed, or refused. `str()` says why.

    `size` is that of the payload in bytes as it is kept.
    """

    size: int
    why: str
    sealed: bool = True

    def __str__(self) -> str:
        return self.why

    def error(self) -> BadPayload:
        """What a program is told that needs the value."""
        return Sealed(_NO_KEY, hint=_GIVE_KEY) if self.sealed else BadPayload(self.why)


def pack(value: Any) -> bytes:
    """`value` as msgpack. Extensions (`msgspec.msgpack.Ext`) travel as they are, but for the codes 1 to 3,
    which are ours.

    Raises `BadPayload` for what msgpack cannot carry, `TooLarge` over `qm.limits.PAYLOAD_MAX` bytes.
    """
    try:
        packed = _encode(value)
    except RecursionError:
        raise BadPayload("the value is nested too deeply, or contains itself") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise BadPayload(f"the value cannot be packed: {error}") from None
    except Exception as error:  # of code that belongs to the value, as a time zone's
        raise BadPayload(f"the value cannot be packed: it raised {type(error).__name__}") from None
    if len(packed) > PAYLOAD_MAX:
        raise TooLarge(
            f"the value has {len(packed):,} bytes packed, the limit is {PAYLOAD_MAX:,}",
            hint="put large data into a file or an object store and its address into the task",
        )
    return packed


def unpack(packed: bytes) -> Any:
    """The value in `packed`. Raises `BadPayload` where it is not msgpack of ours, `Sealed` where it is
    sealed."""
    try:
        return _decoder.decode(packed)
    except BadPayload:
        raise
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise BadPayload(f"the payload cannot be read: {error}") from None


def digest(type_: str, packed: bytes) -> bytes:
    """What a repeated id is compared by: a hash over the type and the packed input."""
    return hashlib.blake2b(packed, digest_size=_DIGEST_SIZE, key=type_.encode()[:64]).digest()


def pack_failure(failure: Failure) -> bytes:
    """`failure` packed, its texts cut: the head of a message and the tail of a traceback stay."""
    return _encoder.encode(
        Failure(
            _clean(failure.type)[:100],
            _clean(failure.message)[:MESSAGE_MAX],
            _clean(failure.traceback)[-TRACEBACK_MAX:],
        )
    )


def unpack_failure(packed: bytes) -> Failure:
    """The failure in `packed`; unreadable bytes become a failure that says so: it is for people."""
    try:
        return _failure_decoder.decode(packed)
    except (msgspec.DecodeError, RecursionError, ValueError):
        found = unopened(packed)
    if found is not None:
        where = ", and no key here opens them" if found.sealed else ""
        kind = "Sealed" if found.sealed else "Refused"
        return Failure(kind, f"the error's details are {found.why}{where}", "")
    return Failure("Unreadable", "the error's details cannot be read", "")


def wrap(token: bytes) -> bytes:
    """A token as a payload that everybody recognises as sealed."""
    return _encoder.encode(msgspec.msgpack.Ext(_SEALED, token))


def token_of(packed: bytes) -> bytes | None:
    """The token in a sealed payload; None where it is not sealed."""
    return _extension_data(packed, _SEALED)


def fits_sealed(packed: bytes) -> bool:
    """Whether `packed` is sealed and no larger than the largest payload is once it is sealed."""
    return len(packed) <= PAYLOAD_MAX + SEALING_MAX and token_of(packed) is not None


def refuse(why: str) -> bytes:
    """Stands for a payload that must not be read, with the reason. Not to be sent."""
    return _encoder.encode(msgspec.msgpack.Ext(_REFUSED, why.encode("utf-8", "backslashreplace")))


def unopened(packed: bytes) -> Unopened | None:
    """What to show for a payload that is sealed or refused; None for any other."""
    why = _extension_data(packed, _REFUSED)
    if why is not None:
        return Unopened(len(packed), f"refused: {why.decode('utf-8', 'replace')}", sealed=False)
    if token_of(packed) is not None:
        return Unopened(len(packed), f"sealed ({len(packed):,} bytes)")
    return None


def is_sealed_text(text: str) -> bool:
    """Whether `text` (a log, a note) is sealed."""
    return text.startswith(SEALED_TEXT) and _SEALED_TEXT.fullmatch(text) is not None


def show_text(text: str) -> str:
    """`text`, or where it is sealed its size."""
    return f"sealed ({len(text):,} bytes)" if is_sealed_text(text) else text


def _extension_data(packed: bytes, code: int) -> bytes | None:
    """What the extension holds that `packed` is, if it is one of that code."""
    width = _EXTENSIONS.get(packed[0]) if packed else None
    if width is None or packed[1 + width : 2 + width] != bytes([code]):
        return None
    size = int.from_bytes(packed[1 : 1 + width], "big") if width else _SHORT_EXTENSIONS[packed[0]]
    return packed[2 + width :] if len(packed) == 2 + width + size else None


def _encode(value: Any) -> bytes:
    try:
        return _encoder.encode(value)
    except OverflowError:  # rare, so only then the value is walked
        return _encoder.encode(_widen(value))


def _widen(value: Any) -> Any:
    """`value` with integers beyond 64 bits as extensions."""
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        size = value.bit_length() // 8 + 1
        return msgspec.msgpack.Ext(_BIG_INT, value.to_bytes(size, "big", signed=True))
    if isinstance(value, dict):
        return {k: _widen(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_widen(v) for v in value]
    return value


def _extension(code: int, data: memoryview) -> Any:
    if code == _BIG_INT:
        return int.from_bytes(data, "big", signed=True)
    if code == _SEALED:
        raise Sealed(_NO_KEY, hint=_GIVE_KEY)
    if code == _REFUSED:
        raise BadPayload(f"the value was refused: {bytes(data).decode('utf-8', 'replace')}")
    return msgspec.msgpack.Ext(code, bytes(data))


def _clean(text: str) -> str:
    """Lone surrogates cannot be encoded; an error's text must never be the next error."""
    return text.encode("utf-8", "backslashreplace").decode()


#: Heads of msgpack's extensions: of those without a size their size, and of all the bytes that it takes.
_SHORT_EXTENSIONS: Final = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_EXTENSIONS: Final = {0xC7: 1, 0xC8: 2, 0xC9: 4, **dict.fromkeys(_SHORT_EXTENSIONS, 0)}

_decoder = msgspec.msgpack.Decoder(ext_hook=_extension)
_failure_decoder = msgspec.msgpack.Decoder(Failure)
