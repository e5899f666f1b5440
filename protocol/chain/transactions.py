"""The one path that sends: simulate, estimate, sign, send, replace, wait.

A sender keeps nothing on disk.  After a kill it finds its own unmined transactions by the
difference between the account's pending and mined nonces, gives them time, and then takes their
place.  What they meant to do is decided anew from the chain's state by the caller, so a call that
turns out to be done already is success (``already``).  A call that no contract refuses a second
time says itself whether it is ``done``; it is asked once the fate of earlier nonces is known, and
whatever else is sent for the call's own nonce, one of them is mined.

A refusal counts where the newest block refuses too: what is only pending may be taken back, and
whoever sends it each block anew would keep us silent for nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from protocol.chain.amounts import gwei, native
from protocol.chain.chain import Chain, hex_bytes, quantity
from protocol.chain.contracts import Call
from protocol.chain.deployment import checksum
from protocol.chain.errors import (
    AlreadyKnown,
    BlockUnavailable,
    ChainError,
    FeeTooHigh,
    GasTooHigh,
    InsufficientFunds,
    Interrupted,
    NodeRefused,
    NodeUnavailable,
    NonceTooLow,
    TransactionFailed,
    TransactionPending,
    Underpriced,
    Unprofitable,
    WalletError,
)
from protocol.chain.fees import bumped
from protocol.chain.flights import Batch, Flight, Outcome, Quote, Result
from protocol.chain.reverts import Reverted
from protocol.chain.state import Snapshot
from protocol.chain.trial import Trial
from protocol.chain.wallet import Wallet

log: Final = logging.getLogger("assay.chain")

T = TypeVar("T")
NOBODY: Final = bytes(20)
Already = Callable[[Reverted], bool]
"""Says of a refusal whether it means that somebody did the same before."""

ALONE: Final = (Reverted, GasTooHigh, TransactionFailed, NonceTooLow, NodeRefused,
                InsufficientFunds)  # fmt: skip
"""What goes wrong with one call and says nothing of others."""

RECEIPT: Final = ("blockNumber", "blockHash", "transactionHash", "gasUsed", "logs")
"""What is read of a receipt; one that lacks it tells nothing."""

MINED_LAST: Final = 8
"""Calls whose time on their way is remembered."""

Done = Callable[[], bool]
"""Says of the newest block whether the key did the same before."""


class Sender(Trial):
    """Sends calls from one wallet, each when what was sent before has ended, or many together;
    safe to share between threads.

    Without a wallet everything is a dry run: calls are simulated as from ``dry_run_as`` and
    nothing is sent.  ``clock`` gives seconds that never go back.
    """

    def __init__(
        self,
        chain: Chain,
        wallet: Wallet | None,
        *,
        dry_run_as: bytes = NOBODY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(chain, wallet.address if wallet else dry_run_as)
        self.wallet = wallet
        self._clock = clock
        self._lock = threading.Lock()
        self._took: deque[float] = deque(maxlen=MINED_LAST)
        self._away: Batch | None = None

    def mined_within(self, at: Snapshot) -> float | None:
        """Seconds in which a call is mined and confirmed: by the times of blocks, or of my last
        calls where these are less (a chain that mines on demand is quiet, not slow).  None where
        nothing was sent yet."""
        if not self._took:
            return None
        return min(self.chain.block_seconds(at) * self._config.confirmations, max(self._took))

    # --- sending ----------------------------------------------------------------------------------

    def send(
        self,
        call: Call,
        *,
        already: Already | None = None,
        done: Done | None = None,
        max_cost: int | None = None,
    ) -> Outcome:
        """Sends one call and waits until it is mined and confirmed.

        ``already(refusal)`` true makes a refusal success (Result.ALREADY_DONE), and so does
        ``done()`` once a nonce is chosen: what was sent for earlier ones is mined by then.
        ``max_cost`` in wei raises Unprofitable before anything is sent.  Raises also as ``quote``;
        InsufficientFunds; TransactionFailed; TransactionPending after the configured time (it may
        still be mined: deciding anew is safe); Interrupted; NodeUnavailable.
        """
        with self._lock:
            self._await_earlier()
            try:
                return self._send(call, done, max_cost)
            except Reverted as refusal:
                if already is None or not already(refusal):
                    raise
                log.info("%s: already done", call.what)
                return Outcome(Result.ALREADY_DONE, call)

    def send_all(self, calls: Sequence[Call]) -> Sequence[Outcome | ChainError]:
        """As ``launch``; waits until all are mined and confirmed, or have failed: how each ended.

        Raises as ``send`` for what concerns all of them.
        """
        batch = self.launch(calls)
        self.look_after(batch, waits=True)
        return batch.outcomes()

    def launch(self, calls: Sequence[Call]) -> Batch:
        """Sends calls that do not depend on one another, without waiting for one to be mined before
        the next, nor at the end.  They are tried at the newest block: nothing that is only pending
        holds them up.  What was launched before, and has not ended, is waited for at first, and so
        it is by whatever is sent next.

        Raises as ``send`` for what concerns all of them.
        """
        if self.wallet is None:
            return Batch([self._tried(partial(self.send, call)) for call in calls], self._clock())
        with self._lock:
            self._await_earlier()
            batch = Batch([], self._clock() + self._config.give_up_seconds)
            nonce = self._free_nonce(batch.deadline)
            self._away = batch
            while len(batch.ends) < len(calls):
                taken = sum(isinstance(end, Flight) for end in batch.ends)
                call = calls[len(batch.ends)]
                try:
                    batch.ends.append(self._tried(partial(self._launch, call, nonce + taken)))
                except ChainError as error:
                    if not taken or isinstance(error, Interrupted):
                        raise
                    # What was sent is looked after, whatever becomes of the rest.
                    batch.ends += [error] * (len(calls) - len(batch.ends))
            return batch

    def look_after(self, batch: Batch, *, waits: bool = False) -> bool:
        """Looks at calls that were launched, once, or until all have ended; sends again what was
        lost or pays too little.  Whether all have ended.

        Raises as ``send`` for what concerns all of them.
        """
        with self._lock:
            return self._look_after(batch, waits)

    def _look_after(self, batch: Batch, waits: bool) -> bool:
        while True:
            for index, end in enumerate(batch.ends):
                if isinstance(end, Flight):
                    batch.ends[index] = self._landed(end, batch.deadline)
            if batch.over or not waits:
                return batch.over
            self._rpc.pause(self._config.poll_seconds)

    def _landed(self, flight: Flight, deadline: float) -> Flight | Outcome | ChainError:
        """How a flight ended, or the flight."""
        try:
            receipt = self._look(flight, deadline)
            return flight if receipt is None else self._outcome(flight.call, receipt)
        except (Reverted, TransactionFailed, NonceTooLow) as error:
            return error
        except NodeRefused as error:
            log.warning("%s: the node does not tell how it ended: %s", flight.call.what, error)
            self._past(deadline, flight.call, len(flight.sent))
            return flight

    def _await_earlier(self) -> None:
        """What was launched before has its time; after it, what is sent takes its place."""
        if self._away is not None:
            try:
                self._look_after(self._away, waits=True)
            except (Interrupted, NodeUnavailable):
                raise
            except ChainError as error:
                log.warning("%s", error)
            self._away = None

    def _launch(self, call: Call, nonce: int) -> Flight:
        try:
            quote = self.quote(call, "latest")
        except Reverted:
            # What a clock allows is allowed in the next block at first.
            quote = self.quote(call)
        return self._started(call, nonce, quote)

    def _started(self, call: Call, nonce: int, quote: Quote) -> Flight:
        now = self._clock()
        bump_at = now + self._config.bump_seconds
        flight = Flight(call, nonce, self._gas(quote), quote.fees, now, bump_at)
        try:
            self._broadcast(flight)
        except NodeUnavailable as error:
            if not flight.sent:
                raise
            log.warning("%s: sent, and the node did not answer: %s", call.what, error)
        return flight

    def _gas(self, quote: Quote) -> int:
        return min(
            quote.gas * (100 + self._config.gas_margin_percent) // 100, self._config.max_gas
        )

    @staticmethod
    def _tried(act: Callable[[], T]) -> T | ChainError:
        try:
            return act()
        except ALONE as error:
            return error

    def _send(self, call: Call, done: Done | None, max_cost: int | None) -> Outcome:
        deadline = self._clock() + self._config.give_up_seconds
        while True:
            block = self._accepted(call)
            if self.wallet is None:
                log.info("dry run: %s", call.what)
                return Outcome(Result.DRY_RUN, call)
            nonce = self._free_nonce(deadline)
            if done is not None and done():
                log.info("%s: done by an earlier transaction of this key", call.what)
                return Outcome(Result.ALREADY_DONE, call)
            # Where it takes the place of unmined transactions, their effects do not count.
            if block == "pending" and self._count("pending") > nonce:
                block = "latest"
                self.simulate(call, block)
            quote = self.quote(call, block)
            if max_cost is not None and quote.cost > max_cost:
                raise Unprofitable(
                    f"{call.what} costs {native(quote.cost)} now; it is worth {native(max_cost)}: "
                    f"wait until gas is cheaper"
                )
            gas = self._gas(quote)
            wanted = gas * quote.fees.most + call.value
            if self._rpc.number("eth_getBalance", checksum(self.address), "pending") < wanted:
                raise self._poor(call, wanted)
            try:
                receipt = self._wait(self._started(call, nonce, quote), deadline)
            except NonceTooLow:
                log.info("%s: nonce %d was used by another transaction of this key",
                         call.what, nonce)  # fmt: skip
                self._past(deadline, call)
                continue
            return self._outcome(call, receipt)

    def _accepted(self, call: Call) -> str:
        """The block whose state the call is tried in: the one that the node builds; where that one
        refuses it, the newest, after one more was mined.  Raises as ``simulate``."""
        try:
            self.simulate(call)
            return "pending"
        except Reverted:
            head = self._rpc.number("eth_blockNumber")
            self.simulate(call, "latest")
            if not self._crowded():
                raise  # the next block's time refuses it
        log.info("%s: refused by what is only pending: waiting for a block", call.what)
        patience = self._clock() + self._config.bump_seconds
        while self._rpc.number("eth_blockNumber") == head and self._clock() <= patience:
            self._rpc.pause(self._config.poll_seconds)
        self.simulate(call, "latest")
        return "latest"

    def _crowded(self) -> bool:
        """Whether the block that the node builds has transactions; yes where it does not say."""
        try:
            count = self._rpc.call("eth_getBlockTransactionCountByNumber", "pending")
        except NodeRefused:
            return True
        return count is not None and quantity(count) > 0

    def _count(self, which: str) -> int:
        return self._rpc.number("eth_getTransactionCount", checksum(self.address), which)

    def _past(self, deadline: float, call: Call | None = None, sent: int = 0) -> None:
        if self._clock() > deadline:
            what = call.what if call else "an earlier transaction of this key"
            raise TransactionPending(
                f"{what} is not mined after {self._config.give_up_seconds:g} s ({sent} sent): it "
                f"may still be; start again, and look at the node and the fee cap"
            )

    def _free_nonce(self, deadline: float) -> int:
        """The account's next nonce; unmined transactions of an earlier life get time to mine."""
        patience = self._clock() + self._config.bump_seconds
        said = False
        while True:
            mined, pending = self._count("latest"), self._count("pending")
            if pending <= mined or self._clock() > patience:
                return mined
            if not said:
                log.info("%d unmined transactions of this key: waiting for them", pending - mined)
                said = True
            self._past(deadline)
            self._rpc.pause(self._config.poll_seconds)

    def _broadcast(self, flight: Flight) -> None:
        """Signs and sends at the flight's fees, higher ones if the node wants.

        That the nonce is used already is for ``_look`` to see: it may be by what is sent here,
        when the node's first answer got lost.  Raises FeeTooHigh, InsufficientFunds.
        """
        assert self.wallet is not None
        call = flight.call
        while True:
            fields = {
                "chainId": self.chain.chain_id,
                "nonce": flight.nonce,
                "to": checksum(call.to),
                "data": "0x" + (call.sent or call.data).hex(),
                "value": call.value,
                "gas": flight.gas,
                **flight.fees.fields(),
            }
            tx, raw = self.wallet.sign_transaction(fields)
            # It counts as sent before the node answers: an answer may get lost.
            flight.sent.append((tx, raw))
            try:
                self._rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
            except (AlreadyKnown, NonceTooLow) as error:
                log.debug("%s: %s", call.what, error)
            except Underpriced:
                flight.sent.pop()
                self._raise_fees(flight)
                continue
            except InsufficientFunds as error:
                raise self._poor(call, flight.gas * flight.fees.most + call.value) from error
            log.info("%s: sent 0x%s, nonce %d, %s a gas",
                     call.what, tx.hex(), flight.nonce, gwei(flight.fees.most))  # fmt: skip
            return

    def _raise_fees(self, flight: Flight) -> None:
        percent = self._config.bump_percent
        flight.fees = bumped(flight.fees, percent, self.fees(), self._config.max_fee)

    def _receipt(self, flight: Flight) -> dict[str, Any] | None:
        for tx, _ in reversed(flight.sent):
            found = self._rpc.call("eth_getTransactionReceipt", "0x" + tx.hex())
            if isinstance(found, dict) and all(found.get(name) is not None for name in RECEIPT):
                return found
        return None

    def _wait(self, flight: Flight, deadline: float) -> dict[str, Any]:
        """The receipt, once confirmed.  Raises NonceTooLow when another took the nonce."""
        while (receipt := self._look(flight, deadline)) is None:
            self._rpc.pause(self._config.poll_seconds)
        return receipt

    def _look(self, flight: Flight, deadline: float) -> dict[str, Any] | None:
        """The receipt, if it is confirmed by now.  Raises NonceTooLow when another took the
        nonce."""
        receipt = self._receipt(flight)
        if receipt is not None:
            flight.gone = 0
            if self._confirmed(receipt):
                self._took.append(self._clock() - flight.began)
                return receipt
        self._past(deadline, flight.call, len(flight.sent))
        if receipt is not None:
            return None
        if self._count("latest") > flight.nonce:
            # A receipt may come later than the count; three answers in a row settle it.
            flight.gone += 1
            if flight.gone == 3:
                raise NonceTooLow(f"nonce {flight.nonce} was used by another transaction")
            return None
        flight.gone = 0
        if self._clock() <= flight.bump_at or not self._replaced(flight):
            self._rebroadcast(flight)
        return None

    def _confirmed(self, receipt: dict[str, Any]) -> bool:
        number, wanted = quantity(receipt["blockNumber"]), self._config.confirmations
        if wanted > 1 and self._rpc.number("eth_blockNumber") < number + wanted - 1:
            return False
        return self.chain.block_hash(number) == hex_bytes(receipt["blockHash"], 32)

    def _replaced(self, flight: Flight) -> bool:
        """Whether it was sent once more at higher fees; what can be paid may be reached."""
        flight.bump_at = self._clock() + self._config.bump_seconds
        what = flight.call.what
        try:
            self._raise_fees(flight)
            log.info("%s: not mined, replacing it at %s a gas", what, gwei(flight.fees.most))
            self._broadcast(flight)
        except (FeeTooHigh, InsufficientFunds, NodeRefused) as error:
            log.warning("%s: not mined, and not replaced: %s", what, error)
            return False
        return True

    def _rebroadcast(self, flight: Flight) -> None:
        """Sends again what the node has forgotten (a restart, a reorg): the newest that it
        takes."""
        hashes = ["0x" + tx.hex() for tx, _ in flight.sent]
        if any(self._rpc.call("eth_getTransactionByHash", tx) is not None for tx in hashes[::-1]):
            return
        for _, raw in reversed(flight.sent):
            try:
                self._rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
                return
            except (AlreadyKnown, NonceTooLow, Underpriced):
                return  # known after all, mined meanwhile, or to be replaced in a while
            except (InsufficientFunds, NodeRefused) as error:
                log.debug("%s: %s", flight.call.what, error)

    def _outcome(self, call: Call, receipt: dict[str, Any]) -> Outcome:
        tx, block = hex_bytes(receipt["transactionHash"], 32), quantity(receipt["blockNumber"])
        gas = quantity(receipt["gasUsed"])
        price = receipt.get("effectiveGasPrice")
        paid = gas * quantity(price) if price is not None else 0
        if quantity(receipt.get("status", "0x1")) == 0:
            # The state after its block tells why, as a rule: somebody came first.
            try:
                self.simulate(call, hex(block))
                why = "it would succeed now, so try again"
            except (BlockUnavailable, NodeRefused) as error:
                why = f"the node does not tell why ({error})"
            raise TransactionFailed(
                f"{call.what} was mined in block {block} and failed with {gas} gas "
                f"(0x{tx.hex()}): {why}"
            )
        log.info("%s: mined in block %d, %d gas", call.what, block, gas)
        return Outcome(Result.MINED, call, tx, block, gas, paid, tuple(receipt["logs"]))


def require_wallet(chain: Chain) -> Wallet:
    """The configured wallet.  Raises WalletError when there is none."""
    wallet = chain.wallet()
    if wallet is None:
        raise WalletError(
            "got no key; one is wanted to sign: set ASSAY_KEY_FILE, or ASSAY_KEYSTORE with its "
            "password file, or ASSAY_DEV_ACCOUNT on a local chain"
        )
    return wallet
