"""Keys: where they come from, and what they sign.  A key is never printed, logged or raised."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final

from eth_account import Account
from eth_account.signers.local import LocalAccount

from protocol.chain.errors import WalletError

DEV_MNEMONIC: Final = "test test test test test test test test test test test junk"
"""The phrase that Anvil and other local nodes use; its accounts hold nothing elsewhere."""

DEV_CHAINS: Final = frozenset({1337, 31337})
"""Chains on which a key that everybody knows may be used."""


CURVE_ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""Order of secp256k1 (SEC 2): keys are 1 to this less 1."""


class KeyKind(Enum):
    """Where a key is."""

    FILE = "file"
    KEYSTORE = "keystore"
    HEX = "hex"
    DEV = "dev"


@dataclass(frozen=True)
class KeySource:
    """How to get a key: a file of 64 hex digits, a keystore with the file of its password, the
    digits themselves, or the number of an account of DEV_MNEMONIC.
    """

    kind: KeyKind
    value: str = field(repr=False)
    password_file: Path | None = None


class Wallet:
    """One account that can sign."""

    def __init__(self, account: LocalAccount) -> None:
        self._account = account
        self.address = bytes.fromhex(account.address[2:])

    def __repr__(self) -> str:
        return f"Wallet(0x{self.address.hex()})"

    @classmethod
    def from_hex(cls, digits: str) -> Wallet:
        """The account of a key of 64 hex digits (``0x`` may stand before).  Raises WalletError."""
        text = digits.strip().removeprefix("0x")
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise WalletError(f"got a key of {len(text)} characters; 64 hex digits are wanted")
        if not 0 < int.from_bytes(key, "big") < CURVE_ORDER:
            raise WalletError("the key is 0 or too large for secp256k1: check for a typing error")
        return cls(Account.from_key(key))

    @classmethod
    def dev(cls, index: int) -> Wallet:
        """Account ``index`` of the public development phrase."""
        Account.enable_unaudited_hdwallet_features()
        return cls(Account.from_mnemonic(DEV_MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}"))

    @classmethod
    def open(cls, source: KeySource, chain_id: int) -> Wallet:
        """The account that ``source`` names.

        Raises WalletError when the file or password is unusable, or a development account is
        asked for on a chain that is not a local one.
        """
        if source.kind is KeyKind.HEX:
            return cls.from_hex(source.value)
        if source.kind is KeyKind.DEV:
            if chain_id not in DEV_CHAINS:
                raise WalletError(
                    f"got chain {chain_id} for a development account, whose key everybody knows; "
                    f"it is wanted on {sorted(DEV_CHAINS)} only: name a key file"
                )
            return cls.dev(int(source.value))
        text = _read(Path(source.value))
        if source.kind is KeyKind.FILE:
            return cls.from_hex(text)
        password = _read(source.password_file).rstrip("\r\n") if source.password_file else ""
        try:
            return cls.from_hex(Account.decrypt(json.loads(text), password).hex())
        except (ValueError, KeyError, TypeError):
            raise WalletError(
                f"the keystore {source.value} does not open: check the file and its password"
            ) from None

    def sign_transaction(self, fields: dict[str, Any]) -> tuple[bytes, bytes]:
        """(hash, raw bytes) of a transaction."""
        signed = self._account.sign_transaction(fields)
        return bytes(signed.hash), bytes(signed.raw_transaction)

    def sign_typed(self, message: dict[str, Any]) -> tuple[int, bytes, bytes]:
        """(v, r, s) of an EIP-712 message with ``types``, ``domain`` and all."""
        signed = self._account.sign_typed_data(full_message=message)
        return int(signed.v), signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WalletError(f"cannot read {path} ({type(error).__name__}): check the path") from None
