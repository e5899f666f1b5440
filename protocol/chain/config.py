"""Configuration of the chain; the only reader of the environment in this package."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from protocol.chain.errors import ChainConfigError
from protocol.chain.wallet import KeyKind, KeySource

GWEI: Final = 10**9
DEFAULT_URL: Final = "http://127.0.0.1:8545"
DEFAULT_DEPLOYMENT: Final = Path("build/deployment.json")

VARIABLES: Final = {
    "ASSAY_RPC_URL": "rpc_url",
    "ASSAY_DEPLOYMENT": "deployment",
    "ASSAY_CHAIN_ID": "chain_id",
    "ASSAY_CONFIRMATIONS": "confirmations",
    "ASSAY_POLL_SECONDS": "poll_seconds",
    "ASSAY_RPC_TIMEOUT": "rpc_timeout",
    "ASSAY_RPC_ATTEMPTS": "rpc_attempts",
    "ASSAY_MAX_FEE_GWEI": "max_fee",
    "ASSAY_BUMP_SECONDS": "bump_seconds",
    "ASSAY_GIVE_UP_SECONDS": "give_up_seconds",
    "ASSAY_LOG_RANGE": "log_range",
}
"""Environment variable -> field."""

KEYS: Final = {
    "ASSAY_KEY_FILE": KeyKind.FILE,
    "ASSAY_KEYSTORE": KeyKind.KEYSTORE,
    "ASSAY_PRIVATE_KEY": KeyKind.HEX,
    "ASSAY_DEV_ACCOUNT": KeyKind.DEV,
}
"""Environment variable -> where the key is; at most one.  None: read and dry runs only."""

PASSWORD_FILE: Final = "ASSAY_KEYSTORE_PASSWORD_FILE"


@dataclass(frozen=True)
class ChainConfig:
    """Which node, contracts and key, and how patient.  Times are seconds, fees wei per gas.

    ``confirmations`` counts the transaction's own block.  A transaction is replaced at a higher
    fee each ``bump_seconds`` and given up (not lost) after ``give_up_seconds``.  ``chain_id``
    None means the deployment's.
    """

    rpc_url: str = DEFAULT_URL
    deployment: Path = DEFAULT_DEPLOYMENT
    chain_id: int | None = None
    key: KeySource | None = None
    confirmations: int = 1
    poll_seconds: float = 0.5
    rpc_timeout: float = 10.0
    rpc_attempts: int = 4
    rpc_backoff: float = 0.25
    max_fee: int = 500 * GWEI
    max_gas: int = 16_000_000
    gas_margin_percent: int = 20
    bump_percent: int = 25
    bump_seconds: float = 30.0
    give_up_seconds: float = 300.0
    log_range: int = 2_000
    reorg_depth: int = 256

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)!r}, wanted {least} or more"
            for name, least in (
                ("confirmations", 1), ("rpc_attempts", 1), ("max_fee", 1), ("max_gas", 21_000),
                ("gas_margin_percent", 0), ("bump_percent", 11), ("log_range", 1),
                ("reorg_depth", 1), ("rpc_backoff", 0),
            )
            if not getattr(self, name) >= least
        ]  # fmt: skip
        problems += [
            f"{name} is {getattr(self, name)!r}, wanted more than 0"
            for name in ("poll_seconds", "rpc_timeout", "bump_seconds", "give_up_seconds")
            if not getattr(self, name) > 0
        ]
        if not self.rpc_url.startswith(("http://", "https://")):
            problems.append(f"rpc_url is {self.rpc_url!r}, wanted http://… or https://…")
        if problems:
            raise ChainConfigError("chain configuration: " + "; ".join(problems))

    def with_key(self, key: KeySource | None) -> ChainConfig:
        """The same with another key."""
        return replace(self, key=key)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **given: Any) -> ChainConfig:
        """From the variables of VARIABLES and KEYS; ``given`` fields win.

        Raises ChainConfigError with every problem in one message.
        """
        env = os.environ if environ is None else environ
        problems: list[str] = []
        values: dict[str, Any] = {}
        for variable, name in VARIABLES.items():
            text = env.get(variable, "")
            if text and name not in given:
                try:
                    values[name] = _parse(name, text)
                except ValueError:
                    problems.append(f"{variable} is {text!r}, wanted a number")
        if "key" not in given:
            values["key"] = _key(env, problems)
        try:
            made = cls(**{**values, **given})
        except ChainConfigError as error:
            problems.append(str(error))
        if problems:
            raise ChainConfigError("; ".join(problems))
        return made


def _parse(name: str, text: str) -> object:
    if name == "rpc_url":
        return text
    if name == "deployment":
        return Path(text)
    if name == "max_fee":
        return int(float(text) * GWEI)
    if name.endswith(("_seconds", "_timeout")):
        return float(text)
    return int(text)


def _key(env: Mapping[str, str], problems: list[str]) -> KeySource | None:
    named = [variable for variable in KEYS if env.get(variable)]
    if len(named) > 1:
        problems.append(f"got {' and '.join(named)}; one key at most is wanted")
    if len(named) != 1:
        return None
    variable, kind = named[0], KEYS[named[0]]
    password = env.get(PASSWORD_FILE, "")
    if kind is KeyKind.KEYSTORE and not password:
        problems.append(f"{variable} is set; {PASSWORD_FILE} is wanted with it")
    if kind is KeyKind.DEV and not env[variable].isdecimal():
        problems.append(f"{variable} is {env[variable]!r}, wanted the number of an account")
        return None
    return KeySource(kind, env[variable], Path(password) if password else None)
