"""What commands on the chain share: the market, a wallet, and transactions told in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.errors import ShortOfMoney
from assay.output import amount, say, working
from protocol.chain.amounts import exactly as exactly
from protocol.chain.amounts import native as native
from protocol.chain.amounts import tokens as tokens

if TYPE_CHECKING:
    from protocol.chain.chain import Chain
    from protocol.chain.contracts import Call
    from protocol.chain.flights import Outcome
    from protocol.chain.state import Balances
    from protocol.chain.transactions import Sender
    from protocol.chain.wallet import Wallet

PERMIT_SECONDS = 3600


@contextmanager
def market() -> Iterator[Chain]:
    """The configured deployment on the configured node, checked to be of one chain.

    Raises ChainConfigError, NodeUnavailable, WrongChain.
    """
    from protocol.chain.chain import Chain
    from protocol.chain.config import ChainConfig

    with Chain.connect(ChainConfig.from_env()) as chain:
        yield chain


def address_text(address: bytes) -> str:
    """An address with its checksum."""
    from protocol.chain.deployment import checksum

    return checksum(address)


@dataclass
class Account:
    """A wallet on a market, its money as last read, and a way to send."""

    chain: Chain
    wallet: Wallet
    sender: Sender
    balances: Balances

    def refresh(self) -> None:
        """Read the balances again."""
        self.balances = self.chain.balances(self.wallet.address, self.chain.snapshot())

    def send(self, call: Call, words: str) -> Outcome:
        """Send one transaction; say what it did and what it cost."""
        with working(words):
            outcome = self.sender.send(call)
        say(f"{words}: block {outcome.block}, {outcome.gas:,} gas, {native(outcome.paid)}")
        return outcome

    def need_tokens(self, wanted: int, purpose: str) -> None:
        """Raises ShortOfMoney unless the wallet holds this many tokens."""
        has = self.balances.token
        if has < wanted:
            raise ShortOfMoney(
                f"{address_text(self.wallet.address)} has {tokens(has)}, {purpose} takes "
                f"{tokens(wanted)}: get {tokens(wanted - has)} more (on a local chain: "
                f"assay wallet mint {amount(wanted - has).replace(',', '')})"
            )

    def need_native(self, wanted: int, purpose: str) -> None:
        """Raises ShortOfMoney unless the wallet holds more native money than this."""
        has = self.balances.native
        if has <= wanted:
            raise ShortOfMoney(
                f"{address_text(self.wallet.address)} has {exactly(has)}, {purpose} takes "
                f"{exactly(wanted)} and gas: send it {exactly(wanted - has)} more, and a little"
            )

    def permit(self, spender: bytes, value: int) -> tuple[int, tuple[int, bytes, bytes]]:
        """(deadline, signature) that let ``spender`` take exactly ``value`` tokens."""
        at = self.chain.snapshot()
        deadline = at.next_timestamp + PERMIT_SECONDS
        return deadline, self.chain.permit(self.wallet, spender, value, deadline, at)


@contextmanager
def account() -> Iterator[Account]:
    """The configured wallet on the configured market.  Raises also WalletError."""
    from protocol.chain.transactions import Sender, require_wallet

    with market() as chain:
        wallet = require_wallet(chain)
        balances = chain.balances(wallet.address, chain.snapshot())
        yield Account(chain, wallet, Sender(chain, wallet), balances)


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """A transaction for programs; ``paid`` in wei."""
    return {
        "result": outcome.result.value,
        "transaction": outcome.tx,
        "block": outcome.block,
        "gas": outcome.gas,
        "paid": outcome.paid,
    }
