"""Five hundred false challengers at once against one honest provider, on a chain.

The provider opens once, at the last second, answers one transaction a block, twelve seconds apart,
and is never late; a keeper defeats all in batches.
"""

from __future__ import annotations

from typing import Any

import pytest

from protocol.spec.dispute import CLOSE_GAS, MAX_MOVES, MOVE_GAS
from protocol.spec.job import JobStatus, JobTerms, trace_seconds
from protocol.spec.strategy import below
from protocol.spec.trace import Tree
from protocol.spec.trees import keccak256, list_root
from tests.actors.siege import MANY, Siege
from tests.contracts.market import LOCATORS, Market, address, terms_tuple
from tests.game.crowd import Crowd, Sent, gas_of
from tests.game.settlement import Bond, Purses, defeated, finalized, first_bond
from tests.game.strict import StrictTable
from tests.game.world import case

pytestmark = pytest.mark.chain


def test_five_hundred_at_once__against_an_honest_provider__all_lose_and_it_is_never_late(
    world: Market,
) -> None:
    of = case("layered")
    table = StrictTable(world, of, of.truth)
    crowd, keeper, provider = Crowd(world.brownie), address(world.keeper), address(world.provider)
    siege = Siege(world, table, crowd, of)
    with crowd.waiting():
        assert siege.challenge() <= 10, "at once"
        siege.open()
        siege.walk()
        closing = siege.close()
    assert max(siege.answers) >= 5
    assert sum(siege.answers) >= MANY
    assert max(siege.answers) <= MAX_MOVES
    # Nobody's gas is its own loss: answers and closings are paid at the job's price.
    assert siege.provider_gas <= MOVE_GAS * sum(siege.answers)
    assert closing <= CLOSE_GAS * MANY
    assert world.market.jobOf(world.key(table.terms))[5] == 0
    world.market.finalize(*world.args(table.terms), {"from": world.provider})
    assert world.status(table.terms) is JobStatus.FINALIZED
    token, price = first_bond(table.deal), table.deal.gas_price
    brought = zip(siege.challengers, siege.answers, strict=True)
    bonds = [Bond(address(who), token, answers, price) for who, answers in brought]
    table.purses.check(
        defeated(table.deal, provider, keeper, bonds), finalized(table.deal, provider)
    )
    # Of what the game holds, nothing is theirs.
    parties = ["0x" + who.hex() for who in table.purses.parties]
    credits = [world.owed(who, world.game) for who in parties]
    assert int(world.token.balanceOf(world.game)) == sum(token for token, _ in credits)
    assert int(world.game.balance()) == sum(wei for _, wei in credits)


def test_five_hundred_claims__challenged_at_once__are_opened_one_after_the_other_in_time(
    world: Market,
) -> None:
    """One machine, five hundred jobs in their windows, a false challenger of each: the provider
    takes all the time that a trace may take, for one after the other, and is late for none."""
    of, w, crowd, rpc = case("mlp"), world, Crowd(world.brownie), 3 * 10**9
    provider, attacker, keeper = w.provider.address, w.rival.address, w.keeper.address
    root, task = list_root(of.truth.outputs), of.task(address(w.game), keccak256(LOCATORS))
    jobs = [JobTerms(task, w.terms(nonce=k + 1).deal) for k in range(MANY)]
    deal, lock = jobs[0].deal, w.lock(jobs[0])
    w.token.mint(w.provider, MANY * lock[0], {"from": w.deployer})
    w.registry.stake(MANY * lock[0], {"from": w.provider, "value": MANY * lock[1]})
    purses = Purses(w, w.brownie.accounts[:6])
    claims = [w.claim(terms, w.provider, root=root) for terms in jobs]
    args = [w.args(terms) for terms in jobs]

    def all_send(who: str, to: Any, calls: list[str], value: int = 0, gas: int = 400_000) -> int:
        sent = [Sent(who, str(to.address), call, gas, value) for call in calls]
        receipts, _ = crowd.mine_all(crowd.send(sent, rpc))
        return gas_of(receipts)

    with crowd.waiting():
        post, accept = w.market.post.encode_input, w.market.accept.encode_input
        posts = [post(terms_tuple(terms), LOCATORS) for terms in jobs]
        all_send(w.client.address, w.market, posts, w.bounty(jobs[0]))
        all_send(provider, w.market, [accept(*a) for a in args])
        commit = w.market.commit.encode_input
        all_send(provider, w.market, [commit(w.key(terms), root, b"") for terms in jobs])
        _, wei = w.game.bondOf(claims[0], terms_tuple(jobs[0])[1])
        challenge = w.game.challenge.encode_input
        pairs = list(zip(jobs, claims, strict=True))
        all_send(attacker, w.game, [challenge(terms_tuple(t), c) for t, c in pairs], wei)
        # In the order in which the blocks held the challenges.
        queue = sorted((int(w.game.claimOf(c)[3]), c) for c in claims)
        nodes = list(below(of.truth.levels(Tree.STEPS), 1, 0))
        start, opened = queue[0][0] - trace_seconds(deal.work_ms) - deal.move_seconds, []
        for k, (_, claim) in enumerate(queue):
            call = w.game.open.encode_input(claim, 1, nodes)
            opened += crowd.send([Sent(provider, w.game.address, call, 300_000)], rpc)
            crowd.mine(at=start + trace_seconds((k + 1) * deal.work_ms))
        gas = gas_of(crowd.mine_all(opened)[0])
        crowd.mine(at=max(int(w.game.deadlineOf(c, 1)) for c in claims))
        closing = all_send(keeper, w.game, [
            w.game.timeoutChallengers.encode_input(c, [1]) for c in claims
        ])  # fmt: skip
        all_send(provider, w.market, [w.market.finalize.encode_input(*a) for a in args])
    assert {w.status(terms) for terms in jobs} == {JobStatus.FINALIZED}
    bonds = [Bond(address(w.rival), first_bond(deal), 1, deal.gas_price)] * MANY
    us, closer = address(w.provider), address(w.keeper)
    purses.check(defeated(deal, us, closer, bonds), *[finalized(deal, us)] * MANY)
    assert closing <= MANY * CLOSE_GAS
    # With what the challengers forfeit, openings pay for themselves many times over.
    assert 10 * gas * deal.gas_price <= purses.gained()[us][1]
