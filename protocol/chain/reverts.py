"""Refusals by contracts as exceptions: one class a Solidity error, with the same name.

A class's docstring is the advice that its message ends with.  ``of_bytes`` makes the exception
from the bytes that a call reverted with.
"""

from __future__ import annotations

from typing import Final

from eth_abi import decode
from eth_abi.exceptions import DecodingError

from protocol.chain import court_reverts, game_reverts
from protocol.chain.abi import AbiError, decode_error
from protocol.chain.refusal import Panicked as Panicked
from protocol.chain.refusal import RefusedWithReason as RefusedWithReason
from protocol.chain.refusal import Reverted as Reverted
from protocol.chain.refusal import UnknownRefusal as UnknownRefusal
from protocol.spec.job import JobStatus

# --- JobMarket -----------------------------------------------------------------------------------


class TermOutOfRange(Reverted):
    """The market does not allow this term: choose a value within least and most."""


class WrongReferee(Reverted):
    """The job names another dispute game than this market's: build the terms for this market."""


class WrongLocators(Reverted):
    """The locators are not those that the terms hash: send the same bytes."""


class LocatorsTooLong(Reverted):
    """Too many bytes of locators: put them into a manifest and name that."""


class WrongBounty(Reverted):
    """Send exactly the bounty of the deal as native money."""


class NotClient(Reverted):
    """Only the deal's client may: use its wallet."""


class NotProvider(Reverted):
    """Only the attempt's provider may (in a dispute its delegate too), and not after it lost."""


class NotGame(Reverted):
    """Only the dispute game and the court may."""


class WrongStatus(Reverted):
    """The job is not where this call needs it: read its state again."""

    KINDS = {"got": JobStatus, "wanted": JobStatus}


class AlreadyPosted(Reverted):
    """These terms were posted before: choose another nonce for a second job."""


class TooLate(Reverted):
    """The clock has run out: the other side's call is due now."""


class TooEarly(Reverted):
    """The clock still runs: call again when the chain's time is past it."""


class LostBefore(Reverted):
    """This provider lost an earlier attempt at the job and may not take it again."""


class ZeroResult(Reverted):
    """A result root of zero means that there is none: commit the root of the outputs."""


class Held(Reverted):
    """Challenges or demands are open: their clocks come first."""


class HoldsOutOfRange(Reverted):
    """No hold to release, or no room for one more."""


class WrongClaim(Reverted):
    """The claim is not the job's current one: read the job again."""


class TooManyPayouts(Reverted):
    """More lines in the split than the market takes."""


class PayoutsTooLarge(Reverted):
    """The split spends more than the rule allows."""


class WrongFault(Reverted):
    """Rejection takes a fault of a dispute, not lateness."""


class BadLimits(Reverted):
    """The market's limits contradict each other: deploy with others."""


class NothingToDeposit(Reverted):
    """Deposit tokens, native money, or both."""


# --- ProviderRegistry ----------------------------------------------------------------------------


class NotMarket(Reverted):
    """Only the market may."""


class NotRegistered(Reverted):
    """Register this provider first."""


class CapabilityMissing(Reverted):
    """The provider has not registered a capability that the job wants."""


class StakeTooLow(Reverted):
    """Stake at least the difference in tokens first."""


class DepositTooLow(Reverted):
    """Deposit at least the difference in native money with the registry first."""


class BacklogFull(Reverted):
    """The provider has too much unsettled work: wait until some settles."""


class StillUnbonding(Reverted):
    """The money is not ready: try again when the chain's time is past readyAt."""


class NothingToMove(Reverted):
    """Nothing to stake, unbond or claim: give an amount, or wait for money to unbond."""


class EndpointTooLong(Reverted):
    """The endpoint has too many bytes: give a shorter one."""


class SplitTooLarge(Reverted):
    """The split spends more than the lock holds."""


# --- money, in every contract --------------------------------------------------------------------


class CreditTooLow(Reverted):
    """The account's credit is smaller: withdraw or spend at most what is there."""


class NativeRefused(Reverted):
    """The receiver refuses native money: name another."""


class TokenMoved(Reverted):
    """The token moved another amount than it was asked to: it cannot be used here."""


class AmountTooLarge(Reverted):
    """The amount does not fit: use at most the most."""


class ZeroAddress(Reverted):
    """The zero address cannot be meant: give a real one."""


class ERC20InsufficientAllowance(Reverted):
    """The contract may not take enough of the tokens: approve the amount, or sign a permit."""


class ERC20InsufficientBalance(Reverted):
    """The account has too few tokens: get some first."""


class ERC20InvalidApprover(Reverted):
    """The token does not take approvals of this account."""


class ERC20InvalidReceiver(Reverted):
    """The token does not send to this account."""


class ERC20InvalidSender(Reverted):
    """The token does not send from this account."""


class ERC20InvalidSpender(Reverted):
    """The token does not take approvals for this account."""


class ERC2612ExpiredSignature(Reverted):
    """The permit is past its deadline: sign a new one."""


class ERC2612InvalidSigner(Reverted):
    """The permit was signed by another account than the owner."""


class InvalidAccountNonce(Reverted):
    """A permit or approval of this account was used before: sign a new one."""


class SafeERC20FailedOperation(Reverted):
    """The token refused, or there is no token at this address."""


class ECDSAInvalidSignature(Reverted):
    """The signature is none."""


class ECDSAInvalidSignatureLength(Reverted):
    """The signature has another length than 65 bytes."""


class ECDSAInvalidSignatureS(Reverted):
    """The signature is not in its lower half: sign with a standard wallet."""


class InvalidShortString(Reverted):
    """A text is longer than 31 bytes."""


class StringTooLong(Reverted):
    """A text is longer than 31 bytes."""


OTHERS: Final = (game_reverts, court_reverts)
"""Modules whose classes belong to REVERTS too."""

REVERTS: Final = {kind.__name__: kind for kind in Reverted.__subclasses__()}
"""Exception classes by the name of the Solidity error."""

_ERROR: Final = bytes.fromhex("08c379a0")
_PANIC: Final = bytes.fromhex("4e487b71")


def of_bytes(call: str, data: bytes, message: str = "") -> Reverted:
    """The exception for a refusal of ``call`` (its description) with the bytes ``data``.

    ``message`` is what the node said; it shows when the bytes say nothing.
    """
    try:
        if data[:4] == _ERROR:
            return RefusedWithReason(call, {"reason": decode(["string"], data[4:])[0]})
        if data[:4] == _PANIC:
            return Panicked(call, {"code": hex(decode(["uint256"], data[4:])[0])})
        found = decode_error(data)
    except (DecodingError, OverflowError, AbiError):
        found = None
    if found is None or found[0] not in REVERTS:
        return UnknownRefusal(call, {"data": data, "node": message or "no reason"})
    return REVERTS[found[0]](call, found[1])
