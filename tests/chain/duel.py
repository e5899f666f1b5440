"""A dispute on a local chain, played as it is in earnest: reads at a block, the book, a sender."""

from __future__ import annotations

from functools import partial
from typing import Any

from protocol.chain.demands import Docket
from protocol.chain.disputes import Dispute
from protocol.chain.flights import Outcome
from protocol.chain.history import History
from protocol.spec.answers import Answerer, Part
from protocol.spec.demands import fee_of
from protocol.spec.dispute import Challenge, Wait
from protocol.spec.job import JobTerms, bounty_of
from protocol.spec.strategy import Attack, Known, Move, answer, claimed_levels
from protocol.spec.trace import AnyTrace, Tree
from protocol.spec.trees import keccak256
from tests.actors.case import AnyCase, raw
from tests.chain.world import CLIENT, KEEPER, LOCATORS, PROVIDER, World


class Duel:
    """One claim of PROVIDER, who holds ``claimed``; challengers hold the truth of ``of``.

    Nobody remembers anything: every move begins with a new history.
    """

    def __init__(self, world: World, of: AnyCase, claimed: AnyTrace, **deal: Any) -> None:
        self.world, self.of, self.claimed = world, of, claimed
        task = of.task(world.deployment.game, keccak256(LOCATORS))
        self.terms = JobTerms(task, world.terms(**deal).deal)
        market = world.chain.contracts.market
        bounty = bounty_of(self.terms.deal, world.deployment.limits.schedule)
        world.send(CLIENT, market.post(self.terms, LOCATORS, bounty))
        self.job = world.hash(self.terms)
        world.accept(self.terms)
        world.commit(self.job, root=claimed.levels(Tree.OUTPUTS)[-1][0])
        self.claim = world.chain.claim_of(self.job, world.chain.snapshot())

    def challenge(self, role: int = KEEPER) -> int:
        """The number of a new challenge."""
        chain = self.world.chain
        at = chain.snapshot()
        _, wei = chain.bond_of(self.claim, self.terms.deal, at)
        self.world.send(role, chain.contracts.game.challenge(self.terms, self.claim, wei))
        return chain.claim_state(self.claim, chain.snapshot()).count

    def read(self) -> Dispute:
        """What the logs tell."""
        chain = self.world.chain
        return History(chain).sync(chain.snapshot()).disputes[self.claim]

    def challenge_of(self, number: int) -> Challenge:
        """What the contract says."""
        return self.world.chain.challenge_of(self.claim, number, self.world.chain.snapshot())

    def deadline(self, number: int) -> int:
        """Until when the present turn lasts."""
        return self.world.chain.deadline_of(self.claim, number, self.world.chain.snapshot())

    def attack(self, known: Known) -> Attack:
        """The honest challenger."""
        of = self.of
        prover = of.prover(partial(claimed_levels, known, of.truth))
        return Attack(of.example.program, of.steps, of.truth, known, prover)

    def moves(self, number: int) -> tuple[Wait, list[Move]]:
        """Whose turn it is and what that side plays."""
        x = self.challenge_of(number)
        if x.wait is Wait.CHALLENGER:
            return x.wait, self.attack(self.read().known).moves(x)
        return x.wait, answer(x, self.claimed)

    def turn(self, number: int, role: int = KEEPER) -> Outcome:
        """One call: the moves of the side whose turn it is."""
        wait, moves = self.moves(number)
        assert moves, "the provider has an answer to everything that it claims"
        numbered = [(number, move) for move in moves]
        call = self.world.chain.contracts.game.play(self.claim, self.terms, numbered)
        return self.world.send(role if wait is Wait.CHALLENGER else PROVIDER, call)

    def demand(self, part: Part, item: int = 0, index: int = 0, role: int = KEEPER) -> int:
        """The number of a new demand."""
        call = self.world.chain.contracts.court.demand(
            self.terms, self.claim, part, item, index, fee_of(self.terms.deal)
        )
        self.world.send(role, call)
        return len(self.docket().demands)

    def docket(self) -> Docket:
        """What the logs tell of the demands."""
        chain = self.world.chain
        return History(chain).sync(chain.snapshot()).dockets[self.claim]

    def answerer(self) -> Answerer:
        """Has all data of the true run."""
        e, truth = self.of.example, self.of.truth

        def tensor(part: Part, item: int) -> bytes:
            if part is Part.OUTPUT:
                last = len(truth.levels(Tree.STEPS)[0]) - 1
                return bytes(truth.data(Tree.STATES, last, e.program.outputs[item]))
            return raw((e.constants if part is Part.CONSTANT else e.inputs)[item])

        return Answerer(e.program, tensor)

    def answer(self, number: int, role: int = PROVIDER) -> Outcome:
        """One demand, answered."""
        d = self.docket().demand(number)
        answer = self.answerer().answer(*d.place)
        court = self.world.chain.contracts.court
        return self.world.send(role, court.answer(self.terms, self.claim, *d.place, answer))

    def silence(self, number: int) -> None:
        """The chain's time passes the deadline of the present turn."""
        self.world.past(self.deadline(number))
