"""Where the money must be when a dispute is over: for every party, in tokens and wei.

Two sides that know nothing of each other: ``Purses`` reads what a party has on the chain; the
functions add up what the rules promise, from the terms alone.  A party is an address; compared is
what it was credited (by all four contracts) and its free stake, since a moment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocol.spec.demands import ANSWER_GAS, BYTE_GAS, DEMAND_GAS, ILLEGAL_GAS
from protocol.spec.dispute import (
    CHALLENGE_GAS,
    CLOSE_GAS,
    MADE_WHOLE,
    MOVE_GAS,
    PROOF_GAS,
    TIMEOUT_GAS,
)
from protocol.spec.job import DEAD, TRACE_FACTOR, Deal, Fault, bounty_of, lock_of
from protocol.spec.limits import DEVNET
from tests.contracts.market import Market, address

Money = tuple[int, int]
"""Tokens and wei."""

Shares = Mapping[bytes, Money]

NOTHING: Final = (0, 0)

BOND_WEI_GAS: Final = 22 * MOVE_GAS + CLOSE_GAS * 5 // 4
"""Gas that the native part of a bond prepays: 22 answers, and a closing of which a fifth burns."""


def _sum(a: Money, b: Money) -> Money:
    return a[0] + b[0], a[1] + b[1]


def _fifth(amount: int) -> int:
    return -(-amount // 5)


@dataclass(frozen=True)
class Bond:
    """One challenge in numbers: who, the tokens of its bond, the answers that it was charged, and
    the wei that each gas of these was paid."""

    who: bytes
    token: int
    answers: int
    price: int

    @property
    def charged(self) -> int:
        """What its answers were paid."""
        return self.answers * MOVE_GAS * self.price

    def wei(self, deal: Deal) -> int:
        """What is left of its native part."""
        return BOND_WEI_GAS * deal.gas_price - self.charged


def first_bond(deal: Deal) -> int:
    """Tokens of a bond before the claim is open."""
    return TRACE_FACTOR * deal.price_ceiling


def fallen(
    deal: Deal,
    provider: bytes,
    fault: Fault,
    bonds: Sequence[Bond],
    *,
    by: int = 0,
    caller: bytes | None = None,
) -> Shares:
    """A claim was rejected, by the challenge of bond ``by``, while ``bonds``, in order of opening,
    stood; all of them collected.

    A third of the lock burns; a third goes to challengers: the earliest gets it, less a 32nd part
    for each of at most 8 others; the client has the rest.  Wei of the lock repay those challengers
    their scheduled gas: the one by which it fell wherever it stands, then from the earliest on.
    ``caller`` ended a silent claim, and is repaid.
    """
    out: defaultdict[bytes, Money] = defaultdict(lambda: NOTHING)

    def give(who: bytes, token: int, wei: int) -> None:
        out[who] = _sum(out[who], (token, wei))

    lock, _ = lock_of(deal, DEVNET.schedule)
    third, premium = lock // 3, lock // 3 // 32
    whole = sorted({by, *[k for k in range(len(bonds)) if k != by][:MADE_WHOLE]})
    repaid = 0
    if caller is not None:
        repaid = TIMEOUT_GAS * deal.gas_price
        give(caller, 0, repaid)
    for k in whole:
        gas = CHALLENGE_GAS + (PROOF_GAS if k == by and fault is Fault.WRONG else 0)
        due = 2 * bonds[k].charged + gas * deal.gas_price
        token = premium if k else third - premium * (len(whole) - 1)
        give(bonds[k].who, token, due)
        repaid += due
    for bond in bonds:
        give(bond.who, bond.token, bond.wei(deal))
    burned = -(-lock // 3)
    give(DEAD, burned, 0)
    give(deal.client, lock - burned - third, 0)
    give(provider, -lock, -repaid)
    give(provider, 0, sum(b.charged for b in bonds))
    return out


def withheld(
    deal: Deal, provider: bytes, caller: bytes, demander: bytes, bonds: Sequence[Bond] = ()
) -> Shares:
    """A claim fell for an unanswered demand: as for silence, but that the demander of the earliest
    open one shares the challengers' reward (alone, all of it) and is repaid its demand, and that
    the caller is paid.  The fee itself comes back by ``collect``."""
    out: defaultdict[bytes, Money] = defaultdict(lambda: NOTHING)
    lock, _ = lock_of(deal, DEVNET.schedule)
    reward = lock // 3 // 32 if bonds else lock // 3
    if bonds:
        out.update(fallen(deal, provider, Fault.WITHHELD, bonds))
        out[bonds[0].who] = _sum(out[bonds[0].who], (-reward, 0))
    else:
        burned = -(-lock // 3)
        out.update({DEAD: (burned, 0), deal.client: (lock - burned - lock // 3, 0)})
        out[provider] = (-lock, 0)
    bounty, repaid = TIMEOUT_GAS * deal.gas_price, DEMAND_GAS * deal.gas_price
    out[caller] = _sum(out[caller], (0, bounty))
    out[demander] = _sum(out[demander], (reward, repaid))
    out[provider] = _sum(out[provider], (0, -bounty - repaid))
    return out


def answered(deal: Deal, demander: bytes, provider: bytes, sizes: Iterable[int]) -> Shares:
    """A demander paid the provider for answers, by the bytes of each, whoever gave them; of its
    fees it has the rest back."""
    out: defaultdict[bytes, Money] = defaultdict(lambda: NOTHING)
    fee = (ANSWER_GAS + BYTE_GAS * 16_384) * deal.gas_price
    for size in sizes:
        paid = (ANSWER_GAS + BYTE_GAS * size) * deal.gas_price
        out[provider] = _sum(out[provider], (0, paid))
        out[demander] = _sum(out[demander], (0, fee - paid))
    return out


def voided(deal: Deal, provider: bytes, prover: bytes, bonds: Sequence[Bond] = ()) -> Shares:
    """A committed job was proven illegal: the client pays the provider its price; the prover and
    the challengers have their scheduled gas out of the client's bounty and, as far as that falls
    short, of the wei that the provider locked.  Nothing burns; all bonds are collected."""
    out: defaultdict[bytes, Money] = defaultdict(lambda: NOTHING)
    lines = [(prover, ILLEGAL_GAS * deal.gas_price)]
    for bond in bonds[: 1 + MADE_WHOLE]:
        lines.append((bond.who, 2 * bond.charged + CHALLENGE_GAS * deal.gas_price))
    short = sum(wei for _, wei in lines) - bounty_of(deal, DEVNET.schedule)
    for who, wei in lines:
        out[who] = _sum(out[who], (0, wei))
    for bond in bonds:
        out[bond.who] = _sum(out[bond.who], (bond.token, bond.wei(deal)))
    paid = sum(bond.charged for bond in bonds)
    out[provider] = _sum(out[provider], (deal.price_ceiling, paid - max(0, short)))
    out[deal.client] = _sum(out[deal.client], (0, max(0, -short)))
    return out


def defeated(deal: Deal, provider: bytes, closer: bytes, bonds: Iterable[Bond]) -> Shares:
    """These challenges ran out of time: a fifth of each burns, the closer is paid, the provider
    has the answers' pay and the rest."""
    out: defaultdict[bytes, Money] = defaultdict(lambda: NOTHING)
    for bond in bonds:
        wei = bond.wei(deal)
        bounty = CLOSE_GAS * deal.gas_price
        out[DEAD] = _sum(out[DEAD], (_fifth(bond.token), _fifth(wei)))
        out[closer] = _sum(out[closer], (0, bounty))
        rest = (bond.token - _fifth(bond.token), wei - _fifth(wei) - bounty + bond.charged)
        out[provider] = _sum(out[provider], rest)
    return out


def finalized(deal: Deal, provider: bytes) -> Shares:
    """The provider finalized its own claim: the price, and the client's bounty.  Its lock, which
    was not counted while it was locked, is free again."""
    return {provider: (deal.price_ceiling, bounty_of(deal, DEVNET.schedule))}


def together(*shares: Shares) -> dict[bytes, Money]:
    """The sum of several."""
    out: dict[bytes, Money] = {}
    for part in shares:
        for who, money in part.items():
            out[who] = _sum(out.get(who, NOTHING), money)
    return {who: money for who, money in out.items() if money != NOTHING}


class Purses:
    """What each party has, and what it had when this was made (before the job was posted)."""

    def __init__(self, world: Market, parties: Iterable[Any]) -> None:
        self.world = world
        self._contracts = (world.market, world.registry, world.game, world.court)
        self.parties = [*(address(p) for p in parties), DEAD]
        self._before = {who: self._has(who) for who in self.parties}

    def watch(self, party: Any) -> None:
        """One more, which has nothing yet that was earned here."""
        self.parties.append(address(party))
        self._before[address(party)] = self._has(address(party))

    def _has(self, who: bytes) -> Money:
        at = "0x" + who.hex()
        sums = [self.world.free(at)]
        for contract in self._contracts:
            sums.append(self.world.owed(at, contract))
        return sum(s[0] for s in sums), sum(s[1] for s in sums)

    def gained(self) -> dict[bytes, Money]:
        """Since then, without those who have what they had."""
        out = {}
        for who in self.parties:
            old, new = self._before[who], self._has(who)
            out[who] = (new[0] - old[0], new[1] - old[1])
        return {who: money for who, money in out.items() if money != NOTHING}

    def check(self, *shares: Shares) -> None:
        """Everybody has exactly these shares: nothing more, nothing less, nobody else."""
        assert self.gained() == together(*shares)
