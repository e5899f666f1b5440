"""Five hundred false challengers at once, the provider that they besiege and its keeper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from protocol.spec.dispute import Wait
from protocol.spec.strategy import Move, Open, answer, below, open_step
from protocol.spec.trace import Place, Tree
from tests.actors.case import Case
from tests.actors.walker import Walker
from tests.contracts.market import Market, terms_tuple
from tests.game.calldata import call_of
from tests.game.crowd import Crowd, Sent, gas_of
from tests.game.onchain import ChainTable
from tests.game.settlement import first_bond
from tests.game.world import ALICE, PROVIDER, table_of

MANY: Final = 500
A_BLOCK: Final = 12
"""Seconds."""

ANSWERS_A_CALL: Final = 40
CLOSED_A_CALL: Final = 50

PLACES: Final = [
    *(Place(Tree.OPERATION_BLOCKS, 1, item, 0) for item in range(1, 36, 4)),
    Place(Tree.OUTPUTS, 0, 0, 0), Place(Tree.OUTPUTS, 0, 2, 2),
    Place(Tree.STATE_BLOCKS, 1, 1, 0), Place(Tree.STATES, 0, 0, 0),
]  # fmt: skip
"""Where they go; the first through the operations, so that it asks for the one step."""


@dataclass(frozen=True)
class Turn:
    """What challenge 1 does until somebody has to answer, and the answer ('': it stalls)."""

    moves: list[str]
    answer: str


def way_to(of: Case, place: Place, table: ChainTable) -> list[Turn]:
    """A whole way, played in the twin: with the claim open, and the step."""
    twin = table_of(of, of.truth)
    number = twin.move("challenge", who=ALICE)
    walker, moves, out = Walker(of, ALICE, place), list[str](), list[Turn]()
    while True:
        x = twin.challenge_of(number)
        move: Move | None
        if x.wait is Wait.CHALLENGER:
            move = walker.next(twin, number)
            if move is None:
                return [*out, Turn(moves, "")] if moves else out
            moves.append(call_of(table, 1, move))
            twin.make(number, move, ALICE)
            continue
        asked, move = x.wait, answer(x, of.truth)[0]
        twin.make(number, move, PROVIDER)
        if asked is Wait.REVEAL:
            out.append(Turn(moves, call_of(table, 1, move)))
            moves = []


def numbered(call: str, number: int) -> str:
    """A move of challenge 1 as one of another number: its second argument."""
    start = len("0x") + 2 * (4 + 32)
    return call[:start] + number.to_bytes(32, "big").hex() + call[start + 64 :]


class Siege:
    """The crowd, the provider and the keeper, in the order of what they do.

    The lie: each of the crowd disputes a true claim, with an account and a bond of its own.  They
    challenge in the same few blocks and walk down different ways, some a move, some to the end, so
    that the provider should be late for one of them.  One opening is for all; every answer has a
    clock of its own and is paid from the challenger's bond; who stalls is defeated, in batches.
    """

    def __init__(self, world: Market, table: ChainTable, crowd: Crowd, of: Case) -> None:
        self.world, self.table, self.crowd, self.of = world, table, crowd, of
        self.game, self.claim = world.game, table.claim_id
        self.terms, self.deal = terms_tuple(table.terms), table.terms.deal
        self.price = 3 * self.deal.gas_price
        self.challengers = [f"0x{(0xA55A << 64 | k + 1):040x}" for k in range(MANY)]
        ways = [way_to(of, place, table) for place in PLACES]
        # The k-th goes the k-th way; with every round of ways one turn less of it.
        rounds = [divmod(k, len(ways)) for k in range(MANY)]
        self.plans = [ways[k][: len(ways[k]) - n % (len(ways[k]) + 1)] for n, k in rounds]
        self.answers = [0] * MANY
        self.provider_gas = 0

    def challenge(self) -> int:
        """All of them; how many blocks it takes."""
        w, crowd, token = self.world, self.crowd, first_bond(self.deal)
        crowd.calls([("anvil_setBalance", [a, hex(10**20)]) for a in self.challengers])
        mint, approve = w.token.mint.encode_input, w.token.approve.encode_input(w.game, token)
        ready = [self.sent(w.deployer.address, w.token, mint(a, token)) for a in self.challengers]
        ready += [self.sent(a, w.token, approve) for a in self.challengers]
        crowd.mine_all(crowd.send(ready, self.price))
        _, wei = self.game.bondOf(self.claim, self.terms[1])
        call = self.game.challenge.encode_input(self.terms, self.claim)
        waiting = [self.sent(a, self.game, call, 400_000, wei) for a in self.challengers]
        _, blocks = crowd.mine_all(crowd.send(waiting, self.price))
        # A block orders them as it likes.
        numbers = range(1, MANY + 1)
        held = [str(self.game.challengeOf(self.claim, n)[0]).lower() for n in numbers]
        assert sorted(held) == sorted(self.challengers)
        self.challengers = held
        return blocks

    def open(self) -> None:
        """Once for all, in the last second there is; and the one step, when the first asks."""
        levels = self.of.truth.levels(Tree.STEPS)
        opening = call_of(self.table, 1, Open(below(levels, len(levels) - 1, 0)))
        open_by = int(self.game.claimOf(self.claim)[3])
        hashes = self.crowd.send([self.sent(self.provider, self.game, opening)], self.price)
        assert self.crowd.mine(at=open_by) == open_by
        self.count(hashes)
        point = self.plans[0][0].moves[0]
        first = self.sent(self.challengers[0], self.game, point)
        self.crowd.mine_all(self.crowd.send([first], self.price))
        self.plans[0] = [Turn(self.plans[0][0].moves[1:], self.plans[0][0].answer)] + (
            self.plans[0][1:]
        )
        self.reply([(1, call_of(self.table, 1, open_step(1, self.of.truth)))])
        self.answers[0] += 1

    def walk(self) -> None:
        """A turn of everybody who has one left, then the provider's answers; until all stall."""
        for turn in range(max(map(len, self.plans))):
            going = [(k + 1, plan[turn]) for k, plan in enumerate(self.plans) if turn < len(plan)]
            waiting = []
            for number, todo in going:
                call = self.game.play.encode_input([numbered(m, number) for m in todo.moves], True)
                waiting.append(self.sent(self.challengers[number - 1], self.game, call, 900_000))
            self.crowd.mine_all(self.crowd.send(waiting, self.price))
            replies = [(n, numbered(todo.answer, n)) for n, todo in going if todo.answer]
            for at in range(0, len(replies), ANSWERS_A_CALL):
                self.reply(replies[at : at + ANSWERS_A_CALL])

    def reply(self, replies: list[tuple[int, str]]) -> None:
        """Answers of the provider, in one transaction."""
        call = self.game.play.encode_input([data for _, data in replies], True)
        gas = 200_000 * len(replies) + 200_000
        self.count(self.crowd.send([self.sent(self.provider, self.game, call, gas)], self.price))
        for number, _ in replies:
            self.answers[number - 1] += 1

    def close(self) -> int:
        """A keeper defeats all that stalled; its gas."""
        last = max(int(self.game.deadlineOf(self.claim, n)) for n in range(1, MANY + 1))
        self.crowd.mine(at=last)
        waiting = []
        for at in range(1, MANY + 1, CLOSED_A_CALL):
            numbers = list(range(at, at + CLOSED_A_CALL))
            call = self.game.timeoutChallengers.encode_input(self.claim, numbers)
            waiting.append(self.sent(self.world.keeper.address, self.game, call, 5_000_000))
        receipts, _ = self.crowd.mine_all(self.crowd.send(waiting, self.price))
        return gas_of(receipts)

    # --- transactions ----------------------------------------------------------------------------

    @property
    def provider(self) -> str:
        return str(self.world.provider.address)

    def sent(self, who: str, to: Any, data: str, gas: int = 300_000, value: int = 0) -> Sent:
        return Sent(who, str(to.address), data, gas, value)

    def count(self, hashes: list[str]) -> None:
        receipts, _ = self.crowd.mine_all(hashes, A_BLOCK)
        self.provider_gas += gas_of(receipts)
