"""Errors of the chain package, and the one list that says which of them end a process.

Refusals by a contract have classes of their own, named as in Solidity: ``protocol.chain.reverts``.
"""

from __future__ import annotations

from typing import Final

from protocol.spec.errors import AssayError


class ChainError(AssayError):
    """Something between this process and the contracts went wrong."""


class ChainConfigError(ChainError):
    """The configuration or the deployment file cannot be used."""


class DeploymentMissing(ChainConfigError):
    """There is no deployment file."""


class NodeUnavailable(ChainError):
    """No node answers at the RPC address, it breaks off, or it limits the rate of requests."""


class NodeRefused(ChainError):
    """The node answered a request with an error that asking again at once will not change."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class RangeTooLarge(NodeRefused):
    """The node gives fewer logs, or logs of fewer blocks, in one answer."""


class BlockUnavailable(ChainError):
    """The node does not know a block that it knew, or should know."""


class Reorganised(ChainError):
    """Blocks were replaced while they were read: read again."""


class WrongChain(ChainError):
    """The node is of another chain than the deployment, or the contracts are not there."""


class WalletError(ChainError):
    """No key, or one that cannot be read."""


class InsufficientFunds(ChainError):
    """The wallet lacks native money for the value and the gas of a transaction."""


class FeeTooHigh(ChainError):
    """The chain asks for more than the configured cap on the price of gas."""


class GasTooHigh(ChainError):
    """A transaction needs more gas than the configured cap."""


class Unprofitable(ChainError):
    """A transaction costs more than it is worth to the caller."""


class NonceTooLow(ChainError):
    """Another transaction of the same key was mined in this one's place."""


class Underpriced(ChainError):
    """The node wants a higher fee for this transaction, or for one that replaces another."""


class AlreadyKnown(ChainError):
    """The node has this very transaction already."""


class TransactionFailed(ChainError):
    """A transaction was mined and failed, with no refusal by a contract to show for it."""


class TransactionPending(ChainError):
    """A transaction was not mined in time. It may still be; nothing is lost by starting again."""


class Interrupted(ChainError):
    """A stop was asked for in the middle of a wait."""


ENDS: Final = (ChainConfigError, WrongChain, WalletError, Interrupted)
"""What no later look cures: something has to be changed here, or the end was asked for."""


def retries(error: ChainError) -> bool:
    """Whether a process that looks again and again goes on after ``error``.

    What is not in ENDS may be gone at the next look, which rebuilds its state from the chain: a
    node's unknown complaint too, and a refusal by a contract.
    """
    return not isinstance(error, ENDS)
