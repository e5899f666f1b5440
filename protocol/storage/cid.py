"""Content identifiers: CIDv0 and CIDv1 over SHA2-256, the only hash that is used here.

Sources: the CID and multihash specifications (multicodec codes 0x55 raw, 0x70 dag-pb,
0x12 sha2-256).  Text is base58btc for version 0, lower-case base32 for version 1; the one text
of a CID is canonical, so that two spellings never name one content.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final

import base58

from protocol.storage.errors import MalformedCid

RAW: Final = 0x55
DAG_PB: Final = 0x70
SHA2_256: Final = bytes([0x12, 0x20])
MULTIHASH_BYTES: Final = 34
MAX_CID_BYTES: Final = 36


@dataclass(frozen=True, slots=True)
class Cid:
    """A version (0 or 1), a codec (RAW or DAG_PB) and a 32-byte SHA2-256 digest."""

    version: int
    codec: int
    digest: bytes

    def __post_init__(self) -> None:
        if len(self.digest) != 32:
            raise MalformedCid(f"CID digest of {len(self.digest)} bytes; a SHA2-256 has 32")
        if self.codec not in (RAW, DAG_PB):
            raise MalformedCid(f"CID codec 0x{self.codec:x}; use raw (0x55) or dag-pb (0x70)")
        if self.version not in (0, 1) or (self.version == 0 and self.codec != DAG_PB):
            raise MalformedCid(f"CID version {self.version} with codec 0x{self.codec:x}")

    @classmethod
    def of_block(cls, data: bytes, codec: int = RAW, version: int = 1) -> Cid:
        """The CID of one block."""
        return cls(version, codec, hashlib.sha256(data).digest())

    @classmethod
    def parse(cls, text: str) -> Cid:
        """The CID that ``text`` spells, with or without ``/ipfs/`` in front.

        Raises MalformedCid for anything but its one canonical spelling.
        """
        bare = text.removeprefix("/ipfs/")
        try:
            if bare.startswith("Qm"):
                cid = cls.from_bytes(base58.b58decode(bare))
            elif bare.startswith("b"):
                padded = bare[1:].upper() + "=" * (-(len(bare) - 1) % 8)
                cid = cls.from_bytes(base64.b32decode(padded))
            else:
                raise MalformedCid("one begins with Qm or with b")
        except (ValueError, binascii.Error, MalformedCid) as error:
            raise MalformedCid(f"{text[:80]!r} is no CID: {error}") from error
        if str(cid) != bare:
            raise MalformedCid(f"{text[:80]!r} is not the canonical spelling of {cid}")
        return cid

    @classmethod
    def from_bytes(cls, data: bytes) -> Cid:
        """The CID whose binary form is ``data`` (34 bytes for version 0, 36 for version 1)."""
        if len(data) == MULTIHASH_BYTES and data[:2] == SHA2_256:
            return cls(0, DAG_PB, data[2:])
        if len(data) == MAX_CID_BYTES and data[0] == 1 and data[2:4] == SHA2_256:
            return cls(1, data[1], data[4:])
        raise MalformedCid(
            f"{len(data)} bytes {data[:4].hex()}… are no CID; wanted 1220… (34 bytes) or "
            "01551220… or 01701220… (36 bytes): publish with SHA2-256"
        )

    @property
    def multihash(self) -> bytes:
        """Two prefix bytes and the digest: what blocks are stored under."""
        return SHA2_256 + self.digest

    def as_raw(self) -> Cid:
        """The same block named without saying what is in it."""
        return Cid(1, RAW, self.digest)

    def to_bytes(self) -> bytes:
        """The binary form."""
        return self.multihash if self.version == 0 else bytes([1, self.codec]) + self.multihash

    def __str__(self) -> str:
        if self.version == 0:
            return base58.b58encode(self.to_bytes()).decode("ascii")
        return "b" + base64.b32encode(self.to_bytes()).decode("ascii").lower().rstrip("=")
