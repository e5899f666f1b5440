"""Moves that break a rule: twin and contract refuse them with the same error."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.spec import trees
from protocol.spec.dispute import Challenge, Wait
from protocol.spec.job import JobStatus
from protocol.spec.referee import Proof
from protocol.spec.strategy import Open, Reveal, RevealBlock, below
from protocol.spec.trace import Levels, Tree
from tests.actors import liars
from tests.actors.case import Case
from tests.actors.challenger import Challenger, play, prover_of
from tests.actors.provider import Provider, Stubborn
from tests.contracts.market import Market, address, terms_tuple
from tests.game.onchain import ChainTable, encoded
from tests.game.world import case

pytestmark = pytest.mark.chain


def opened(world: Market, of: Case) -> tuple[ChainTable, int]:
    """An honest claim, challenged by the keeper and opened."""
    table = ChainTable(world, of, of.truth)
    number = table.move("challenge", who=address(world.keeper))
    assert Provider(of.truth, address(world.provider)).answer(table, number)
    return table, number


def to_leaf(table: ChainTable, number: int, index: int, who: bytes, of: Case) -> None:
    """The keeper points at a leaf of the steps."""
    levels = of.truth.levels(Tree.STEPS)
    siblings = trees.siblings_of(levels, index)
    depth = len(levels) - 1
    table.move("point", number, depth, index, levels[0][index], siblings, who=who)


def test_open__by_a_stranger_twice_late_or_malformed__is_refused(world: Market) -> None:
    of = case("counter")
    table = ChainTable(world, of, of.truth)
    provider, keeper = address(world.provider), address(world.keeper)
    number = table.move("challenge", who=keeper)
    levels = of.truth.levels(Tree.STEPS)
    nodes = below(levels, len(levels) - 1, 0)
    assert table.refused("open", number, nodes, who=address(world.rival)) == "NotProvider"
    assert table.refused("open", number, nodes[:-1], who=provider) == "WrongChildren"
    assert table.refused("open", number, [*nodes, bytes(32)], who=provider) == "WrongChildren"
    assert table.refused("open", number + 1, nodes, who=provider) == "NotLive"
    assert table.refused("reveal", number, nodes, who=provider) == "WrongTurn"
    table.wait_until(table.claim.open_by - 1)
    table.move("open", number, nodes, who=provider)
    assert table.refused("open", number, nodes, who=provider) == "WrongTurn"


def test_open__one_second_after_the_clock__is_too_late(world: Market) -> None:
    of = case("mlp")
    table = ChainTable(world, of, of.truth)
    number = table.move("challenge", who=address(world.keeper))
    table.wait_until(table.claim.open_by - 1)
    assert table.refused("timeout_provider", number) == "TooEarly"
    levels = of.truth.levels(Tree.STEPS)
    nodes = below(levels, 1, 0)
    table.wait_until(table.claim.open_by)
    assert table.refused("open", number, nodes, who=address(world.provider)) == "TooLate"
    table.move("timeout_provider", number)
    assert world.status(table.terms) is JobStatus.OPEN


def test_point__by_a_stranger_elsewhere_or_malformed__is_refused(world: Market) -> None:
    of = case("counter")
    table, number = opened(world, of)
    keeper = address(world.keeper)
    levels = of.truth.levels(Tree.STEPS)
    depth = len(levels) - 1
    leaf, siblings = levels[0][3], trees.siblings_of(levels, 3)

    def refused(*arguments: object, who: bytes = keeper) -> str:
        return table.refused("point", number, *arguments, who=who)

    assert refused(depth, 3, leaf, siblings, who=address(world.rival)) == "NotChallenger"
    assert refused(depth - 1, 3, leaf, siblings) == "WrongLevels"
    assert refused(depth + 1, 3, leaf, siblings) == "WrongLevels"
    assert refused(depth, 16, leaf, siblings) == "OutsideNode"
    assert refused(depth, 10, leaf, siblings) == "OutsideTree"
    assert refused(depth, 2, leaf, siblings) == "WrongNode"
    assert refused(depth, 3, levels[0][2], siblings) == "WrongNode"
    assert refused(depth, 3, leaf, siblings[:-1]) == "WrongPathLength"
    assert refused(depth, 3, leaf, [*siblings, bytes(32)]) == "WrongPathLength"
    assert refused(0, 0, levels[-1][0], []) == "NothingToReveal"
    to_leaf(table, number, 3, keeper, of)
    assert refused(0, 3, leaf, []) == "WrongTurn"


def test_answers__malformed_or_of_another_node__are_refused(world: Market) -> None:
    of = case("mlp")
    table, number = opened(world, of)
    keeper, provider = address(world.keeper), address(world.provider)
    to_leaf(table, number, 1, keeper, of)
    ops = of.truth.levels(Tree.OPERATIONS, 1)
    assert table.refused("open_step", number, 1, ops[0], who=keeper) == "NotProvider"
    many = [bytes(32)] * 33
    assert table.refused("open_step", number, 1, many, who=provider) == "WrongChildren"
    table.move("open_step", number, 1, ops[0], who=provider)
    assert table.refused("open_step", number, 1, ops[0], who=provider) == "WrongTurn"
    proof = prover_of(of, table).entry(Tree.OPERATIONS, 1, 0)
    table.move("enter", number, Tree.OPERATIONS, proof, who=keeper)
    table.move("point", number, 0, 0, ops[-1][0], [], who=keeper)
    stranger = address(world.rival)
    assert table.refused("reveal", number, ops[0][:2], who=stranger) == "WrongChildren"
    wrong = [ops[0][1], ops[0][0], ops[0][2]]
    assert table.refused("reveal", number, wrong, who=stranger) == "WrongNode"
    assert table.refused("reveal_block", number, bytes(512), who=stranger) == "NothingToReveal"
    table.make(number, Reveal(tuple(ops[0])), stranger)
    assert world.owed(world.rival, world.game) == (0, 0), "it is the provider's"
    siblings = trees.siblings_of(ops, 1)
    table.move("point", number, 2, 1, ops[0][1], siblings, who=keeper)
    proof = prover_of(of, table).entry(Tree.OPERATION_BLOCKS, 1, 1)
    table.move("enter", number, Tree.OPERATION_BLOCKS, proof, who=keeper)
    blocks = of.truth.levels(Tree.OPERATION_BLOCKS, 1, 1)
    table.move("point", number, 0, 0, blocks[0][0], [], who=keeper)
    data = of.truth.block(Tree.OPERATION_BLOCKS, 1, 1, 0)
    assert table.refused("reveal_block", number, data[:-1], who=provider) == "NotOneBlock"
    assert table.refused("reveal_block", number, bytes(512), who=provider) == "WrongNode"
    assert table.refused("reveal", number, blocks[0], who=provider) == "NothingToReveal"
    table.make(number, RevealBlock(data), provider)
    again = table.refused("point", number, 0, 0, blocks[0][0], [], who=keeper)
    assert again == "NothingToReveal"
    proof = prover_of(of, table).element(1, 1, 7, data)
    assert table.refused("prove", number, Proof.ELEMENT, proof) == "ProvesNothing"
    assert table.refused("prove", number, Proof.HALT, proof) == "NotHere"


def asked_for_a_block(x: Challenge) -> bool:
    """The provider is to show a block of an operation."""
    return x.tree is Tree.OPERATION_BLOCKS and x.wait is Wait.REVEAL


def test_reveal_block__dirty_tail__is_refused_and_the_clock_decides(world: Market) -> None:
    of = case("counter")
    claimed = liars.garbage_in_the_tail(2, 1)(of)
    table = ChainTable(world, of, claimed)
    me, provider = address(world.keeper), Stubborn(claimed, address(world.provider))
    number = table.move("challenge", who=me)
    challenger = Challenger(of, me)
    while not asked_for_a_block(table.challenge_of(number)):
        if table.challenge_of(number).wait is Wait.CHALLENGER:
            challenger.move(table, number)
        else:
            assert provider.answer(table, number)
    data = claimed.block(Tree.OPERATION_BLOCKS, 3, 1, 0)
    who = address(world.provider)
    assert table.refused("reveal_block", number, data, who=who) == "DirtyTail"
    table.silence(number)
    table.move("timeout_provider", number)


def test_enter__from_elsewhere_or_into_a_halted_step__is_refused(world: Market) -> None:
    of = case("counter")
    table, number = opened(world, of)
    keeper, provider = address(world.keeper), address(world.provider)
    entry = prover_of(of, table).entry
    states, operations = entry(Tree.STATES, 1, 0), entry(Tree.OPERATIONS, 1, 0)
    blocks = entry(Tree.STATE_BLOCKS, 1, 0)
    refused = [
        table.refused("enter", number, Tree.STATES, states, who=keeper),
        table.refused("enter", number, Tree.STEPS, states, who=keeper),
        table.refused("enter", number, Tree.STATE_BLOCKS, blocks, who=keeper),
    ]
    assert refused == ["NotHere"] * 3
    to_leaf(table, number, 8, keeper, of)
    assert table.refused("enter", number, Tree.STATES, states, who=keeper) == "WrongTurn"
    table.move("open_step", number, 8, [trees.HALTED], who=provider)
    into = ("enter", number, Tree.OPERATIONS, operations)
    assert table.refused(*into, who=keeper) == "StepHalted"
    assert table.refused(*into, who=address(world.rival)) == "NotChallenger"
    halt = prover_of(of, table).halt(8)
    assert table.refused("prove", number, Proof.HALT, halt) == "ProvesNothing"
    table.move("enter", number, Tree.STATES, states, who=keeper)
    assert table.refused("enter", number, Tree.STATES, states, who=keeper) == "NotHere"


def test_enter__a_step_without_operations__has_nothing_to_ask_for(world: Market) -> None:
    of = case("kept")
    table, number = opened(world, of)
    keeper, provider = address(world.keeper), address(world.provider)
    to_leaf(table, number, 2, keeper, of)
    table.move("open_step", number, 2, [], who=provider)
    proof = prover_of(of, table).entry(Tree.OPERATIONS, 2, 0)
    into = ("enter", number, Tree.OPERATIONS, proof)
    assert table.refused(*into, who=keeper) == "EmptyTree"


def test_open__by_the_delegate__counts(world: Market) -> None:
    of = case("mlp")
    table = ChainTable(world, of, of.truth)
    number = table.move("challenge", who=address(world.keeper))
    nodes = below(of.truth.levels(Tree.STEPS), 1, 0)
    receipt = world.game.open(table.claim_id, number, nodes, {"from": world.stranger})
    assert receipt.events["Opened"]["root"] == "0x" + of.truth.root(Tree.STEPS).hex()
    assert world.owed(world.provider, world.game) == (0, 120_000 * 10**9)


def test_timeouts__of_the_wrong_side_or_early__are_refused(world: Market) -> None:
    of = case("mlp")
    table, number = opened(world, of)
    keeper, rival = address(world.keeper), address(world.rival)
    assert table.refused("timeout_provider", number) == "WrongTurn"
    assert table.refused("timeout_challengers", [number], who=rival) == "TooEarly"
    deadline = table.game.deadline_of(table.claim_id, number)
    table.wait_until(deadline - 2)
    assert table.refused("timeout_challengers", [number], who=rival) == "TooEarly"
    table.wait_until(deadline)
    leaf = of.truth.levels(Tree.STEPS)
    late = ("point", number, 1, 1, leaf[0][1], trees.siblings_of(leaf, 1))
    assert table.refused(*late, who=keeper) == "TooLate"
    table.move("timeout_challengers", [number], who=rival)
    assert table.refused("timeout_challengers", [number], who=rival) == "NotLive"
    assert world.market.jobOf(world.key(table.terms))[5] == 0
    assert table.refused_collect(number) == "HasNotFallen"


def test_challenge__after_the_window_or_with_another_bond__is_refused(world: Market) -> None:
    of = case("mlp")
    table = ChainTable(world, of, of.truth)
    terms = terms_tuple(table.terms)
    _, native = world.game.bondOf(table.claim_id, terms[1])
    for value in (0, native - 1, native + 1):
        with world.reverts("WrongBond", value, native):
            options = {"from": world.keeper, "value": value}
            world.game.challenge(terms, table.claim_id, options)
    with world.reverts("WrongClaim"):
        world.game.challenge(terms, b"\1" * 32, {"from": world.keeper, "value": native})
    table.wait_until(table.claim.window_until)
    assert table.refused("challenge", who=address(world.keeper)) == "TooLate"


def test_moves__with_the_terms_of_another_job__are_refused(world: Market) -> None:
    of = case("mlp")
    table, number = opened(world, of)
    other = ChainTable(world, of, of.truth, nonce=2)
    terms = terms_tuple(other.terms)
    data = encoded(prover_of(of, table).entry(Tree.OUTPUTS, 0, 0))
    options = {"from": world.keeper}
    with world.reverts("WrongTerms", table.claim_id):
        world.game.enter(table.claim_id, number, terms, int(Tree.OUTPUTS), data, options)
    with world.reverts("WrongTerms", table.claim_id):
        world.game.timeoutProvider(table.claim_id, number, terms, options)
    with world.reverts("WrongTerms", other.claim_id):
        world.game.timeoutProvider(other.claim_id, number, terms, options)
    with world.reverts("NotLive"):
        world.game.timeoutChallengers(other.claim_id, [number], options)


def test_fallen__nothing_but_collect_works(world: Market) -> None:
    of = case("mlp")
    claimed = liars.wrong_output(0)(of)
    table = ChainTable(world, of, claimed)
    keeper, rival = address(world.keeper), address(world.rival)
    number = table.move("challenge", who=keeper)
    other = table.move("challenge", who=rival)
    play(table, number, Challenger(of, keeper), Stubborn(claimed, address(world.provider)))
    assert table.refused("timeout_provider", other) == "HasFallen"
    assert table.refused("timeout_challengers", [other], who=rival) == "HasFallen"
    assert table.refused("open", other, [], who=address(world.provider)) == "HasFallen"
    assert table.refused("challenge", who=rival) == "WrongStatus"
    table.collect(other)
    table.collect(number)
    for account in (world.keeper, world.rival):
        token, native = world.owed(account, world.game)
        world.game.withdraw(account, token, {"from": account})
        world.game.withdrawNative(account, native, {"from": account})
    left = world.owed(world.provider, world.game)
    assert int(world.game.balance()) == left[1]
    assert int(world.token.balanceOf(world.game)) == left[0] == 0


def test_list__defeats_at_the_head_the_tail_and_between__keep_the_order(world: Market) -> None:
    of = case("mlp")
    table = ChainTable(world, of, of.truth)
    who = [address(a) for a in (world.keeper, world.rival, world.client, world.stranger)]
    numbers = [table.move("challenge", who=w) for w in (*who, who[0])]
    assert Provider(of.truth, address(world.provider)).answer(table, numbers[3])
    table.silence(numbers[0])
    table.move("timeout_challengers", [numbers[2]], who=who[1])
    table.move("timeout_challengers", [numbers[4], numbers[0]], who=who[1])
    assert table.claim.numbers == [numbers[1], numbers[3]]
    table.move("timeout_challengers", [numbers[1], numbers[3]], who=who[1])
    assert table.claim.holds == 0


def test_play__known_nodes__from_opening_to_the_fall_in_one_call(world: Market) -> None:
    of = case("mlp")
    claimed = liars.one_bit_in(0, 1, 300)(of)
    table = ChainTable(world, of, claimed)
    me, provider = address(world.keeper), address(world.provider)
    number = table.move("challenge", who=me)
    game, key = world.game, table.claim_id
    steps, ops = claimed.levels(Tree.STEPS), claimed.levels(Tree.OPERATIONS, 1)
    table.make(number, Open(below(steps, 1, 0)), provider)
    terms = terms_tuple(table.terms)
    prover = prover_of(of, table)
    path = trees.siblings_of(steps, 1)
    pointed = game.point.encode_input(key, number, 1, 1, steps[0][1], path)
    game.play([pointed], True, {"from": world.keeper})
    opening = game.openStep.encode_input(key, number, 1, ops[0])
    game.play([opening], True, {"from": world.provider})
    # The challenger knows the whole claim: published nodes, or an earlier dispute.
    data = claimed.block(Tree.OPERATION_BLOCKS, 1, 1, 0)
    true = of.truth.block(Tree.OPERATION_BLOCKS, 1, 1, 0)
    byte = next(k for k in range(512) if data[k] != true[k])

    def levels(tree: Tree, step: int, item: int) -> Levels:
        return claimed.levels(tree, step, item)

    proof = replace(prover, levels=levels).element(1, 1, byte // 2, data)
    into_operations = encoded(prover.entry(Tree.OPERATIONS, 1, 0))
    into_blocks = encoded(prover.entry(Tree.OPERATION_BLOCKS, 1, 1))
    moves = [
        game.enter.encode_input(key, number, terms, int(Tree.OPERATIONS), into_operations),
        game.point.encode_input(key, number, 2, 1, ops[0][1], trees.siblings_of(ops, 1)),
        game.enter.encode_input(key, number, terms, int(Tree.OPERATION_BLOCKS), into_blocks),
        game.prove.encode_input(key, number, terms, int(Proof.ELEMENT), encoded(proof)),
    ]
    broken = [*moves[:-1], game.collect.encode_input(key, number)]
    with world.reverts("HasNotFallen"):
        game.play(broken, True, {"from": world.keeper})
    receipt = game.play(moves, True, {"from": world.keeper})
    assert receipt.events["ClaimFell"]["caller"] == world.keeper
    assert world.status(table.terms) is JobStatus.OPEN


# --- steps that nobody asked for -----------------------------------------------------------------


def test_open_step__unasked_in_a_job_of_many_steps__is_free_and_answers_all(world: Market) -> None:
    of = case("counter")
    table, number = opened(world, of)
    keeper, provider = address(world.keeper), address(world.provider)
    before = table.challenge_of(number).native
    nodes = of.truth.levels(Tree.OPERATIONS, 3)[0]
    table.move("open_step", number, 3, nodes, who=provider)
    assert table.challenge_of(number).native == before
    assert table.challenge_of(number).wait is Wait.CHALLENGER
    again = ("open_step", number, 3, nodes)
    assert table.refused(*again, who=provider) == "WrongTurn"
    to_leaf(table, number, 3, keeper, of)
    assert table.challenge_of(number).wait is Wait.CHALLENGER
    assert table.refused(*again, who=provider) == "WrongTurn"


def test_open_step__unasked_in_a_job_of_one_step__is_paid_once(world: Market) -> None:
    of = case("mlp")
    table, number = opened(world, of)
    provider = address(world.provider)
    before = table.challenge_of(number).native
    nodes = of.truth.levels(Tree.OPERATIONS, 1)[0]
    table.move("open_step", number, 1, nodes, who=provider)
    assert table.challenge_of(number).native == before - 120_000 * 10**9
    assert table.refused("open_step", number, 1, nodes, who=provider) == "WrongTurn"
    to_leaf(table, number, 1, address(world.keeper), of)
    assert table.challenge_of(number).wait is Wait.CHALLENGER


def test_open_step__before_the_claim_or_of_no_step__is_refused(world: Market) -> None:
    of = case("counter")
    table = ChainTable(world, of, of.truth)
    keeper, provider = address(world.keeper), address(world.provider)
    number = table.move("challenge", who=keeper)
    nodes = of.truth.levels(Tree.OPERATIONS, 3)[0]
    assert table.refused("open_step", number, 3, nodes, who=provider) == "WrongTurn"
    assert Provider(of.truth, provider).answer(table, number)
    assert table.refused("open_step", number, 3, nodes, who=keeper) == "NotProvider"
    assert table.refused("open_step", number + 1, 3, nodes, who=provider) == "NotLive"
    for step in (0, table.claim.leaves, 2**40, 2**255):
        assert table.refused("open_step", number, step, nodes, who=provider) == "NoSuchStep"
    assert table.refused("open_step", number, 3, [bytes(32)] * 33, who=provider) == "WrongChildren"


def test_open_step__unasked_after_the_clock_of_who_waits__saves_nobody(world: Market) -> None:
    """A late provider opens the step by another challenge: the first one's clock has run out."""
    of = case("counter")
    table, number = opened(world, of)
    keeper, provider = address(world.keeper), address(world.provider)
    other = table.move("challenge", who=address(world.rival))
    to_leaf(table, number, 3, keeper, of)
    table.wait_until(table.now + table.claim.budget)
    to_leaf(table, other, 3, address(world.rival), of)
    table.silence(number)
    nodes = of.truth.levels(Tree.OPERATIONS, 3)[0]
    assert table.refused("open_step", number, 3, nodes, who=provider) == "TooLate"
    table.move("open_step", other, 3, nodes, who=provider)
    assert table.challenge_of(other).wait is Wait.CHALLENGER
    assert table.challenge_of(number).wait is Wait.STEP
    assert table.refused("open_step", number, 3, nodes, who=provider) == "TooLate"
    table.move("timeout_provider", number)
    assert world.status(table.terms) is JobStatus.OPEN


@pytest.mark.parametrize("late", [0, 1])
def test_open_step__elsewhere_at_the_last_second__takes_the_whole_clock_once(
    world: Market, late: int
) -> None:
    """Of who waited for the same step: seen by a view and by the moves that follow alike, it leaves
    the provider the free seconds of each move; a second later it is no answer."""
    of = case("counter")
    table, number = opened(world, of)
    keeper, rival, provider = (address(a) for a in (world.keeper, world.rival, world.provider))
    other = table.move("challenge", who=rival)
    to_leaf(table, number, 3, keeper, of)
    to_leaf(table, other, 3, rival, of)
    asked, deadline = table.now - 1, table.game.deadline_of(table.claim_id, number)
    free = table.terms.deal.move_seconds
    assert deadline == asked + table.claim.budget + free
    # A move comes a second after ``now``; the other one asked a second later too.
    table.wait_until(deadline - 1 + late)
    nodes = of.truth.levels(Tree.OPERATIONS, 3)[0]
    table.move("open_step", other, 3, nodes, who=provider)
    x = table.challenge_of(number)
    if late:
        assert (x.wait, x.provider_budget) == (Wait.STEP, table.claim.budget)
        table.move("timeout_provider", number)
        assert table.claim.fallen
        return
    assert (x.wait, x.since, x.provider_budget) == (Wait.CHALLENGER, deadline, 0)
    entry = prover_of(of, table).entry(Tree.STATES, 3, 0)
    table.move("enter", number, Tree.STATES, entry, who=keeper)
    levels = of.truth.levels(Tree.STATES, 3)
    table.move("point", number, 0, 0, levels[-1][0], [], who=keeper)
    x = table.challenge_of(number)
    assert (x.wait, x.provider_budget) == (Wait.REVEAL, 0)
    assert table.game.deadline_of(table.claim_id, number) == x.since + free
    table.wait_until(x.since + free - 1)
    assert Provider(of.truth, provider).answer(table, number)
    assert table.challenge_of(number).provider_budget == 0


def test_play__open_and_its_one_step__is_one_call_of_the_provider(world: Market) -> None:
    of = case("mlp")
    table = ChainTable(world, of, of.truth)
    number = table.move("challenge", who=address(world.keeper))
    game, key = world.game, table.claim_id
    nodes = below(of.truth.levels(Tree.STEPS), 1, 0)
    opening = game.open.encode_input(key, number, nodes)
    step = game.openStep.encode_input(key, number, 1, of.truth.levels(Tree.OPERATIONS, 1)[0])
    receipt = game.play([opening, step], True, {"from": world.provider})
    assert receipt.events["StepOpened"]["step"] == 1
    assert world.owed(world.provider, world.game) == (0, 2 * 120_000 * 10**9)
    with world.reverts("WrongTurn"):
        game.play([opening], True, {"from": world.provider})
