"""The dispute game: the pure twin of contracts/DisputeGame.sol.

The same functions in the same order, with the caller and the time as arguments.  ``MoveRefused``
carries the name of the error with which the contract reverts.  Times are seconds, money is tokens
(smallest unit) and wei.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from protocol.spec import referee, trees
from protocol.spec.constants import BLOCK_BYTES, ZERO
from protocol.spec.dispute import (
    CHALLENGE_GAS,
    CLOSE_GAS,
    FAN_NODES,
    MADE_WHOLE,
    MOVE_GAS,
    PREMIUM_PARTS,
    PROOF_GAS,
    TIMEOUT_GAS,
    Challenge,
    Claim,
    Outcome,
    Wait,
    children_of,
    climb,
    clock_of,
    fan_at,
    fold,
    forfeited,
    is_end,
    native_bond,
)
from protocol.spec.errors import MoveRefused
from protocol.spec.job import (
    DEAD,
    REWARD_PARTS,
    TRACE_FACTOR,
    Deal,
    Fault,
    GasSchedule,
    Payout,
    answer_price,
    lock_of,
    trace_seconds,
)
from protocol.spec.proofs import OperationProof, OperationsProof, StateProof, TableProof
from protocol.spec.referee import AnyJudged, Context, Proof
from protocol.spec.trace import Tree


class Game:
    """All claims and challenges of one deployment, and what it owes."""

    def __init__(self, schedule: GasSchedule) -> None:
        self.schedule = schedule
        self.base_fee = 0
        """Wei per gas, of the block in which the next move is made."""
        self.claims: dict[bytes, Claim] = {}
        self.challenges: dict[tuple[bytes, int], Challenge] = {}
        self.credits: defaultdict[bytes, tuple[int, int]] = defaultdict(lambda: (0, 0))
        self.queue: defaultdict[bytes, int] = defaultdict(int)
        self.others: defaultdict[bytes, int] = defaultdict(int)
        """Work of a provider that is unsettled and not among ``claims``, in milliseconds."""

    # --- reading ---------------------------------------------------------------------------------

    def backlog_ms(self, provider: bytes) -> int:
        """Milliseconds of a provider's unsettled work: here of its claims, and ``others``."""
        mine = [c for c in self.claims.values() if c.provider == provider and not c.fallen]
        return self.others[provider] + sum(c.terms.deal.work_ms for c in mine)

    def bond_of(self, claim_id: bytes, deal: Deal) -> tuple[int, int]:
        """What ``challenge`` takes."""
        opened = self.claims[claim_id].opened_at
        token = 0 if opened else TRACE_FACTOR * deal.price_ceiling
        return token, native_bond(deal.gas_price)

    def challenge_of(self, claim_id: bytes, number: int) -> Challenge:
        """A challenge; an opening that others waited for too has passed its turn on."""
        x = self.challenges[claim_id, number]
        self._resolve(self.claims[claim_id], x)
        return x

    def deadline_of(self, claim_id: bytes, number: int) -> int:
        """Until when the present turn lasts."""
        return self._deadline(*self._load(claim_id, number))

    # --- challengers -----------------------------------------------------------------------------

    def challenge(self, claim_id: bytes, who: bytes, now: int) -> int:
        """Dispute a committed claim in its window."""
        c = self.claims[claim_id]
        deal = c.terms.deal
        token, native = self.bond_of(claim_id, deal)
        if c.fallen:
            raise MoveRefused("WrongStatus")
        if now > c.window_until:
            raise MoveRefused("TooLate", f"{now} > {c.window_until}")
        c.holds += 1
        if c.count == 0:
            self._admit(c, now)
        c.count += 1
        c.numbers.append(c.count)
        x = Challenge(
            challenger=who,
            since=now,
            node=c.steps_root,
            level=trees.depth_of(c.leaves),
            count=c.leaves,
            provider_budget=c.budget,
            challenger_budget=c.budget,
            token=token,
            native=native,
            wait=Wait.CHALLENGER if c.opened_at else Wait.OPENING,
            known=bool(c.opened_at),
        )
        self._ask(c, x)
        self.challenges[claim_id, c.count] = x
        return c.count

    def point(
        self,
        claim_id: bytes,
        number: int,
        levels: int,
        index: int,
        child: bytes,
        siblings: Sequence[bytes],
        who: bytes,
        now: int,
    ) -> None:
        """Go down ``levels`` levels to node ``index`` of that level."""
        c, x = self._load(claim_id, number)
        self._check_challenger(c, x, who, now)
        if levels == 0 and x.known:
            raise MoveRefused("NothingToReveal")
        if levels and not fan_at(x.level) <= levels <= x.level:
            raise MoveRefused("WrongLevels", f"{levels} of {x.level}")
        if index >> levels != x.index:
            raise MoveRefused("OutsideNode", f"{index} below {x.index}")
        if climb(child, index, x.level - levels, levels, x.count, siblings) != x.node:
            raise MoveRefused("WrongNode")
        x.node, x.index = child, index
        x.level -= levels
        x.known = is_end(x)
        if not x.known:
            self._pass(c, x, Wait.REVEAL, now)
        elif x.tree is Tree.STEPS:
            x.step = index
        else:
            x.item = index
        if x.tree is Tree.STEPS and x.step and x.step not in c.steps:
            self._pass(c, x, Wait.STEP, now)

    def enter(
        self,
        claim_id: bytes,
        number: int,
        into: Tree,
        proof: TableProof | OperationsProof | OperationProof | StateProof,
        who: bytes,
        now: int,
    ) -> None:
        """Go into the tree below the leaf."""
        c, x = self._load(claim_id, number)
        self._check_challenger(c, x, who, now)
        source = {Tree.STATE_BLOCKS: Tree.STATES, Tree.OPERATION_BLOCKS: Tree.OPERATIONS}
        here = x.tree is source.get(into, Tree.STEPS) and (x.level == 0 or into is Tree.OUTPUTS)
        if not here or into is Tree.STEPS or (into is Tree.OPERATIONS and x.step == 0):
            raise MoveRefused("NotHere", f"{into.name} from {x.tree.name}, level {x.level}")
        context = self._context(c, x)
        node = x.node
        if into is Tree.OUTPUTS:
            node = c.result_root
        if into is Tree.OPERATIONS:
            node = context.operations_root
            if node == trees.HALTED:
                raise MoveRefused("StepHalted")
        count, last_bytes = referee.geometry(context, into, proof)
        if count == 0 and node == ZERO:
            raise MoveRefused("EmptyTree")
        x.node, x.tree, x.index = node, into, 0
        x.count, x.last_bytes = count, last_bytes
        x.level = trees.depth_of(count)
        x.known = is_end(x)
        if count == 0:
            self._pass(c, x, Wait.REVEAL, now)

    # --- the provider's side ---------------------------------------------------------------------

    def open(
        self, claim_id: bytes, number: int, nodes: Sequence[bytes], who: bytes, now: int
    ) -> None:
        """Open the claim, once, for all its challenges."""
        c, x = self._load(claim_id, number)
        self._check_provider(c, who)
        self._check_turn(c, x, Wait.OPENING, now)
        if len(nodes) != children_of(0, x.level, c.leaves):
            raise MoveRefused("WrongChildren", str(len(nodes)))
        c.steps_root = fold(nodes, fan_at(x.level))
        c.opened_at = now
        self._charge(c, x)
        self._resolve(c, x)

    def open_step(
        self, claim_id: bytes, number: int, step: int, nodes: Sequence[bytes], who: bytes, now: int
    ) -> None:
        """Open the operations of the step, for all that wait for it or will; maybe unasked."""
        c, x = self._load(claim_id, number)
        self._check_provider(c, who)
        asked = x.wait is Wait.STEP and x.step == step
        if asked:
            self._check_turn(c, x, Wait.STEP, now)
        else:
            if not c.opened_at or step in c.steps:
                raise MoveRefused("WrongTurn", x.wait.name)
            if not 1 <= step < c.leaves:
                raise MoveRefused("NoSuchStep", f"{step} of {c.leaves}")
        if len(nodes) > FAN_NODES:
            raise MoveRefused("WrongChildren", str(len(nodes)))
        c.steps[step] = (fold(nodes, trees.depth_of(len(nodes))), now)
        if asked or c.leaves == 2:
            self._charge(c, x)
        if asked:
            self._pass(c, x, Wait.CHALLENGER, now)

    def reveal(self, claim_id: bytes, number: int, nodes: Sequence[bytes], now: int) -> None:
        """What is below the node, without padding; from anybody, for the provider."""
        c, x = self._load(claim_id, number)
        self._check_turn(c, x, Wait.REVEAL, now)
        if x.level == 0:
            raise MoveRefused("NothingToReveal")
        if len(nodes) != children_of(x.index, x.level, x.count):
            raise MoveRefused("WrongChildren", str(len(nodes)))
        if fold(nodes, fan_at(x.level)) != x.node:
            raise MoveRefused("WrongNode")
        self._answer(c, x, now)

    def reveal_block(self, claim_id: bytes, number: int, data: bytes, now: int) -> None:
        """The 512 bytes of the leaf; from anybody, for the provider."""
        c, x = self._load(claim_id, number)
        self._check_turn(c, x, Wait.REVEAL, now)
        if x.level or x.count == 0:
            raise MoveRefused("NothingToReveal")
        if len(data) != BLOCK_BYTES:
            raise MoveRefused("NotOneBlock", str(len(data)))
        if trees.keccak256(data) != x.node:
            raise MoveRefused("WrongNode")
        if x.index == x.count - 1 and any(data[x.last_bytes :]):
            raise MoveRefused("DirtyTail")
        self._answer(c, x, now)

    # --- anybody ---------------------------------------------------------------------------------

    def prove(
        self, claim_id: bytes, number: int, kind: Proof, proof: AnyJudged, now: int
    ) -> None:
        """Show that the claim is wrong at the place that the challenge has reached."""
        c, x = self._load(claim_id, number)
        if x.wait is Wait.CHALLENGER:
            self._check_turn(c, x, Wait.CHALLENGER, now)
        tree = {
            Proof.ELEMENT: Tree.OPERATION_BLOCKS,
            Proof.SLICE: Tree.STATE_BLOCKS,
            Proof.NEXT: Tree.STATES,
            Proof.INITIAL: Tree.STATES,
            Proof.OUTPUT: Tree.OUTPUTS,
            Proof.HALT: Tree.STEPS,
        }[kind]
        here = x.tree is tree and x.level == 0 and x.count != 0
        if kind is not Proof.OUTPUT and (kind is Proof.INITIAL) != (x.step == 0):
            here = False
        if not here:
            raise MoveRefused("NotHere", f"{kind.name} at {x.tree.name}, level {x.level}")
        if not referee.judge(self._context(c, x), kind, proof):
            raise MoveRefused("ProvesNothing")
        self._fall(claim_id, number, Fault.WRONG)

    def timeout_provider(self, claim_id: bytes, number: int, who: bytes, now: int) -> None:
        """The provider's clock ran out: the claim falls."""
        self._load_late(claim_id, number, False, now)
        self._fall(claim_id, number, Fault.SILENT, who)

    def timeout_challengers(
        self, claim_id: bytes, numbers: Sequence[int], who: bytes, now: int
    ) -> None:
        """The clocks of these challengers ran out: defeated."""
        for number in numbers:
            self._defeat(claim_id, number, self._load_late(claim_id, number, True, now), who)

    def collect(self, claim_id: bytes, number: int) -> None:
        """The bond of an undefeated challenge of a fallen claim comes back."""
        x = self.challenges.get((claim_id, number))
        if claim_id not in self.claims or not self.claims[claim_id].fallen:
            raise MoveRefused("HasNotFallen")
        if x is None or x.outcome is not Outcome.LIVE:
            raise MoveRefused("NotLive")
        x.outcome = Outcome.COLLECTED
        self._credit(x.challenger, x.token, x.native)

    # --- the court -------------------------------------------------------------------------------

    def end(self, claim_id: bytes) -> list[Payout]:
        """The court ends the claim; what its undefeated challenges are due."""
        c = self.claims[claim_id]
        c.fallen, c.holds = True, 0
        return self._payouts(claim_id, 0, Fault.WITHHELD)

    # --- money -----------------------------------------------------------------------------------

    def _credit(self, who: bytes, token: int, native: int) -> None:
        old = self.credits[who]
        self.credits[who] = (old[0] + token, old[1] + native)

    def _ask(self, c: Claim, x: Challenge) -> None:
        x.price = answer_price(c.terms.deal.gas_price, self.schedule, self.base_fee)

    def _charge(self, c: Claim, x: Challenge) -> None:
        fee = MOVE_GAS * answer_price(x.price, self.schedule, self.base_fee)
        x.native -= fee
        self._credit(c.provider, 0, fee)

    def _defeat(self, claim_id: bytes, number: int, x: Challenge, who: bytes) -> None:
        c = self.claims[claim_id]
        c.numbers.remove(number)
        c.holds -= 1
        x.outcome = Outcome.DEFEATED
        bounty = CLOSE_GAS * c.terms.deal.gas_price
        native, token = forfeited(x.native), forfeited(x.token)
        self._credit(DEAD, token, native)
        self._credit(c.provider, x.token - token, x.native - native - bounty)
        self._credit(who, 0, bounty)

    def _fall(self, claim_id: bytes, number: int, fault: Fault, who: bytes | None = None) -> None:
        c = self.claims[claim_id]
        c.fallen, c.fault, c.holds = True, fault, 0
        c.payouts = self._payouts(claim_id, number, fault, who)

    def _payouts(
        self, claim_id: bytes, number: int, fault: Fault, who: bytes | None = None
    ) -> list[Payout]:
        c = self.claims[claim_id]
        deal = c.terms.deal
        lock, left = lock_of(deal, self.schedule)
        reward = lock // REWARD_PARTS
        premium = reward // PREMIUM_PARTS
        lines, last = [], []
        if who is not None:
            due = min(TIMEOUT_GAS * deal.gas_price, left)
            left -= due
            last.append(Payout(who, 0, due))
        first = [number] if number else []
        numbers = [*first, *(n for n in c.numbers if n != number)][: MADE_WHOLE + 1]
        for k, one in enumerate(numbers):
            x = self.challenges[claim_id, one]
            gas = CHALLENGE_GAS + (PROOF_GAS if k == 0 and fault is Fault.WRONG else 0)
            due = 2 * (native_bond(deal.gas_price) - x.native) + gas * deal.gas_price
            due = min(due, left)
            left -= due
            token = reward - premium * (len(numbers) - 1) if one == c.numbers[0] else premium
            lines.append(Payout(x.challenger, token, due))
        return [*lines, *last]

    # --- state -----------------------------------------------------------------------------------

    def _load(self, claim_id: bytes, number: int) -> tuple[Claim, Challenge]:
        x = self.challenges.get((claim_id, number))
        if x is None or x.outcome is not Outcome.LIVE:
            raise MoveRefused("NotLive", f"challenge {number}")
        c = self.claims[claim_id]
        if c.fallen:
            raise MoveRefused("HasFallen")
        self._resolve(c, x)
        return c, x

    def _load_late(self, claim_id: bytes, number: int, challenger: bool, now: int) -> Challenge:
        c, x = self._load(claim_id, number)
        if (x.wait is Wait.CHALLENGER) != challenger:
            raise MoveRefused("WrongTurn", x.wait.name)
        if now <= self._deadline(c, x):
            raise MoveRefused("TooEarly", f"{now} <= {self._deadline(c, x)}")
        return x

    def _resolve(self, c: Claim, x: Challenge) -> None:
        if x.wait is Wait.OPENING and c.opened_at:
            x.wait, x.since = Wait.CHALLENGER, c.opened_at
            x.node, x.known = c.steps_root, True
        if x.wait is Wait.STEP and x.step in c.steps:
            at = c.steps[x.step][1]
            # What was opened for others, or unasked, is no answer after this challenge's clock.
            if at <= self._deadline(c, x):
                self._pass(c, x, Wait.CHALLENGER, at)

    def _deadline(self, c: Claim, x: Challenge) -> int:
        if x.wait is Wait.OPENING:
            return c.open_by
        mine = x.wait is Wait.CHALLENGER
        budget = x.challenger_budget if mine else x.provider_budget
        return x.since + budget + c.terms.deal.move_seconds

    def _pass(self, c: Claim, x: Challenge, following: Wait, now: int) -> None:
        over = max(0, now - x.since - c.terms.deal.move_seconds)
        if x.wait is Wait.CHALLENGER:
            x.challenger_budget -= over
        else:
            x.provider_budget -= over
        x.wait, x.since = following, now
        if following is not Wait.CHALLENGER:
            self._ask(c, x)

    def _answer(self, c: Claim, x: Challenge, now: int) -> None:
        self._charge(c, x)
        x.known = True
        self._pass(c, x, Wait.CHALLENGER, now)

    def _admit(self, c: Claim, now: int) -> None:
        deal = c.terms.deal
        c.budget = clock_of(deal)
        steps = c.terms.task.steps
        c.leaves = 1 + sum(steps >> (32 * k) & 0xFFFFFFFF for k in range(8))
        end = max(self.queue[c.provider], now) + trace_seconds(deal.work_ms)
        end = min(end, now + trace_seconds(self.backlog_ms(c.provider)))
        self.queue[c.provider] = end
        c.open_by = end + deal.move_seconds

    def _context(self, c: Claim, x: Challenge) -> Context:
        return Context(
            task=c.terms.task,
            program=c.program,
            steps_root=c.steps_root,
            operations_root=c.steps.get(x.step, (ZERO, 0))[0],
            leaves=c.leaves,
            step=x.step,
            item=x.item,
            index=x.index,
            node=x.node,
        )

    # --- checks ----------------------------------------------------------------------------------

    def _check_turn(self, c: Claim, x: Challenge, wanted: Wait, now: int) -> None:
        if x.wait is not wanted:
            raise MoveRefused("WrongTurn", f"{x.wait.name}, not {wanted.name}")
        if now > self._deadline(c, x):
            raise MoveRefused("TooLate", f"{now} > {self._deadline(c, x)}")

    def _check_challenger(self, c: Claim, x: Challenge, who: bytes, now: int) -> None:
        if who != x.challenger:
            raise MoveRefused("NotChallenger")
        self._check_turn(c, x, Wait.CHALLENGER, now)

    def _check_provider(self, c: Claim, who: bytes) -> None:
        if who != c.provider:
            raise MoveRefused("NotProvider")
