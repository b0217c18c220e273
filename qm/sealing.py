"""Sealing: payloads that only those who hold a key can read, or make.

Clients and workers seal what they send and open what they get; the manager, its store and the page carry it
and know no key. A sealed payload is a Fernet token (AES-128-CBC, HMAC-SHA256) around

    [purpose, task id, type or attempt, value]

so that it counts in one place only: moved to another task, another type, another attempt, or from input to
output, it is refused. What this does not hide is said in docs/encryption.md.
"""

from __future__ import annotations

import base64
import hashlib
import re
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from qm.errors import BadRequest
from qm.payload import SEALED_TEXT, is_sealed_text, refuse, token_of, unopened, wrap

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

#: Bytes of a token beside its ciphertext: version, time, initial vector, HMAC.
_TOKEN: Final = 1 + 8 + 16 + 32

#: Bytes in front of the value, at most, beside the task's id.
_HEAD: Final = 16

_BLOCK: Final = 16

#: 32 bytes in base64, as Fernet writes them.
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{43}=", re.ASCII)

#: A digest as the store keeps it; see `qm.payload.digest`.
_DIGEST_SIZE: Final = 16

_encoder: Final = msgspec.msgpack.Encoder()


class Purpose(IntEnum):
    """What a sealed value is."""

    INPUT = 1
    OUTPUT = 2
    ERROR = 3
    LOG = 4
    NOTE = 5


class Place(Struct, frozen=True):
    """Where a sealed value belongs: `bound` is the type of an input, and of all else the attempt that left it
    behind. To open, it may be a range: any of these attempts."""

    purpose: Purpose
    id: str
    bound: str | int | range


class PayloadKeys(Struct, frozen=True):
    """Keys as they are written, newest first; none: nothing is sealed. `accept_plain`: read also what is not
    sealed, while not everybody has keys yet."""

    keys: tuple[str, ...] = ()
    accept_plain: bool = False

    def __repr__(self) -> str:
        """Without the keys: what is printed is kept, and read by others."""
        return f"PayloadKeys({len(self.keys)} keys)"


class _Inner(Struct, array_like=True, frozen=True):
    purpose: int
    id: str
    bound: str | int
    value: msgspec.Raw


class Keyring:
    """Seals with the newest of its keys, opens with any. Thread-safe."""

    def __init__(self, keys: PayloadKeys) -> None:
        """Raises `BadRequest` for a key that is none; its text never has the key."""
        if not keys.keys:
            raise BadRequest("there is no payload key", hint="qmclient payload-key makes one")
        if len(set(keys.keys)) != len(keys.keys):
            raise BadRequest("a payload key is there twice", hint="each key once, the newest first")
        self._fernet = _fernet(keys.keys)
        self._digest_keys = [
            hashlib.blake2b(base64.urlsafe_b64decode(key), person=b"qm digest").digest() for key in keys.keys
        ]
        self._accept_plain = keys.accept_plain
        self._decoder = msgspec.msgpack.Decoder(_Inner)

    def seal(self, place: Place, packed: bytes) -> bytes:
        """`packed`, so that it can be opened in this place alone."""
        return wrap(base64.urlsafe_b64decode(self._encrypt(place, packed)))

    def open(self, place: Place, packed: bytes) -> bytes:
        """What was sealed for `place`. What no key here opens stays sealed; what belongs to another place, or
        is not sealed, becomes a refusal with the reason (`qm.payload.refuse`)."""
        token = token_of(packed)
        if token is not None:
            inner = self._decrypt(base64.urlsafe_b64encode(token))
            return packed if inner is None else self._value(inner, place)
        if self._accept_plain:
            return packed
        return refuse(f"the {_name(place)} of task {place.id} is not sealed, so anyone could have made it")

    def seal_text(self, place: Place, text: str, most: int) -> str:
        """`text` sealed as a text of at most `most` characters: if need be of its end alone."""
        if not text:
            return text
        room = (most - len(SEALED_TEXT)) // 4 * 3 - _TOKEN
        room = room // _BLOCK * _BLOCK - 1 - _HEAD - len(place.id.encode())
        tail = text.encode("utf-8", "backslashreplace")[-room:].decode("utf-8", "ignore")
        return SEALED_TEXT + self._encrypt(place, _encoder.encode(tail)).decode()

    def open_text(self, place: Place, text: str) -> str:
        """The text sealed for `place`. What no key here opens stays sealed. These texts are for people: one
        that is not sealed is shown and says so."""
        if not text:
            return text
        if not is_sealed_text(text):
            return text if self._accept_plain else f"(not sealed) {text}"
        inner = self._decrypt(text.removeprefix(SEALED_TEXT).encode())
        if inner is None:
            return text
        value = self._value(inner, place)
        found = unopened(value)
        try:
            return found.why if found is not None else msgspec.msgpack.decode(value, type=str)
        except (msgspec.DecodeError, ValueError):
            return f"refused: the {_name(place)} of task {place.id} is no text"

    @property
    def size(self) -> int:
        """How many keys there are."""
        return len(self._digest_keys)

    def digest(self, key: int, type_: str, id_: str, packed: bytes) -> bytes:
        """What a repeated id is compared by, under the `key`-th key, 0 for the newest. Nobody without it can
        try inputs; with the id in it, equal inputs do not show."""
        content = _encoder.encode([type_, id_, msgspec.Raw(packed)])
        return hashlib.blake2b(content, digest_size=_DIGEST_SIZE, key=self._digest_keys[key]).digest()

    def _encrypt(self, place: Place, packed: bytes) -> bytes:
        inner = _encoder.encode([place.purpose, place.id, place.bound, msgspec.Raw(packed)])
        return self._fernet.encrypt(inner)

    def _decrypt(self, token: bytes) -> bytes | None:
        """What is in the token; None where no key of ours made it."""
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(token)
        except InvalidToken:
            return None

    def _value(self, inner: bytes, place: Place) -> bytes:
        """The value in an opened token, if it was sealed for `place`; else a refusal."""
        try:
            found = self._decoder.decode(inner)
        except (msgspec.DecodeError, RecursionError, ValueError):  # made with our key, but not by us
            return refuse(f"the {_name(place)} of task {place.id} was sealed by another program")
        if _belongs(found, place):
            return bytes(found.value)
        return refuse(
            f"the {_name(place)} of task {place.id} was sealed as {_told(found)}: somebody moved it"
        )


def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    # loaded by those alone who have keys: it takes longer than all the rest of a client
    from cryptography.fernet import Fernet, MultiFernet

    fernets = []
    for place, key in enumerate(keys, 1):
        if not _KEY.fullmatch(key):  # Fernet would skip over what is no digit, and forget what is too much
            which = f"payload key {place} of {len(keys)}"
            hint = "a key has 44 characters, as qmclient payload-key prints it; commas separate several"
            raise BadRequest(f"{which} is no Fernet key", hint=hint)
        fernets.append(Fernet(key))
    return MultiFernet(fernets)


def _belongs(found: _Inner, place: Place) -> bool:
    if (found.purpose, found.id) != (place.purpose, place.id):
        return False
    return found.bound in place.bound if isinstance(place.bound, range) else found.bound == place.bound


def _name(place: Place) -> str:
    return place.purpose.name.lower()


def _told(found: _Inner) -> str:
    """For people: what a value was sealed as."""
    known = found.purpose in list(Purpose)
    what = Purpose(found.purpose).name.lower() if known else "something"
    bound = f", attempt {found.bound}" if isinstance(found.bound, int) else f", type {found.bound}"
    return f"the {what} of task {found.id}{bound}"


def new_key() -> str:
    """A new random key, as `PayloadKeys` takes it."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()
