"""A table whose refusals are the contract's too, and where gas has an owner."""

from __future__ import annotations

from collections import Counter
from typing import Any

from protocol.spec import trees
from protocol.spec.dispute import Claim
from protocol.spec.errors import MoveRefused
from protocol.spec.trace import Trace
from tests.actors.case import Case
from tests.actors.table import Table
from tests.contracts.market import Market, address
from tests.game.onchain import ChainTable
from tests.game.settlement import Bond, Purses, first_bond

ANSWERS = ("open", "open_step", "reveal", "reveal_block")


class StrictTable(ChainTable):
    """Sends what the twin refuses too: the contract reverts with the same error.

    ``spent`` is the gas of each sender's transactions, ``answered`` the answers that each
    challenge was charged, ``log`` the accepted moves: name, arguments, sender.
    """

    def __init__(
        self, world: Market, of: Case, claimed: Trace, *, nonce: int = 1, **deal: Any
    ) -> None:
        self.spent: Counter[bytes] = Counter()
        self.answered: Counter[int] = Counter()
        self.tokens: dict[int, int] = {}
        self.refusals: list[str] = []
        self.log: list[tuple[str, tuple[Any, ...], bytes | None]] = []
        parties = (world.provider, world.client, world.rival, world.keeper, world.stranger)
        self.purses = Purses(world, parties)
        super().__init__(world, of, claimed, nonce=nonce, **deal)
        self.deal = self.terms.deal

    def move(self, name: str, *arguments: Any, who: bytes | None = None) -> Any:
        opened = bool(self.claim.opened_at)
        try:
            result = super().move(name, *arguments, who=who)
        except MoveRefused as refused:
            self.refusals.append(refused.name)
            with self.world.reverts(refused.name):
                self.send(name, *arguments, who=who)
            self.now = max(self.now, self._chain_time())
            raise
        self.log.append((name, arguments, who))
        if name == "challenge":
            self.tokens[result] = 0 if opened else first_bond(self.deal)
        elif name in ANSWERS:
            self.answered[arguments[0]] += 1
        return result

    def send(self, name: str, *arguments: Any, who: bytes | None = None) -> Any:
        receipt = super().send(name, *arguments, who=who)
        self.spent[address(receipt.sender)] += int(receipt.gas_used)
        return receipt

    def bond(self, number: int) -> Bond:
        """What a challenge brought and was charged, for the settlement."""
        who = self.challenge_of(number).challenger
        return Bond(who, self.tokens[number], self.answered[number], self.price())

    def bonds(self, *numbers: int) -> list[Bond]:
        """The same of several."""
        return [self.bond(number) for number in numbers]


class NextAttempt(StrictTable):
    """The next attempt at the job of ``first``, by the rival: same money, another claim."""

    def __init__(self, first: StrictTable, of: Case, claimed: Trace) -> None:
        world = self.world = first.world
        self.terms, self.deal = first.terms, first.deal
        self.spent, self.answered, self.tokens = Counter(), Counter(), {}
        self.refusals, self.gas, self.log = [], [], []
        self.base_fee = first.base_fee
        self.accounts, self.purses = first.accounts, first.purses
        world.accept(self.terms, world.rival)
        root = trees.list_root(claimed.outputs)
        receipt = world.commit(self.terms, world.rival, root=root)
        claim_id = world.claim(self.terms, world.rival, attempt=1, root=root)
        first.game.claims[claim_id] = Claim(
            terms=self.terms,
            program=of.example.program,
            provider=address(world.rival),
            result_root=root,
            window_until=world.clock(self.terms),
        )
        Table.__init__(self, first.game, claim_id, int(receipt.timestamp))
        self.anybody = first.anybody
