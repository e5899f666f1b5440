"""What was revealed, as a challenger reads it: no liar's tree hides a part of itself."""

from __future__ import annotations

from dataclasses import replace

from protocol.spec.constants import BLOCK_BYTES, ZERO
from protocol.spec.dispute import Wait, climb, fold
from protocol.spec.strategy import Attack, Known, RevealBlock, claimed_levels, rows_to
from protocol.spec.trace import Levels, Tree
from protocol.spec.trees import keccak256, siblings_of
from tests.actors import liars
from tests.actors.challenger import Challenger, prover_of
from tests.actors.provider import Stubborn
from tests.game.world import ALICE, PROVIDER, case, table_of

LEAVES = [keccak256(bytes([k])) for k in range(40)]


def levels(leaves: list[bytes]) -> Levels:
    """A tree as the contract hashes it: nothing but missing nodes is ZERO by rule."""
    rows = [leaves]
    while len(rows[-1]) > 1:
        row = rows[-1] + [ZERO] * (len(rows[-1]) % 2)
        rows.append([keccak256(row[k] + row[k + 1]) for k in range(0, len(row), 2)])
    return rows


class Truth:
    def __init__(self, leaves: list[bytes]) -> None:
        self._leaves = leaves

    def levels(self, tree: Tree, step: int = 0, item: int = 0) -> Levels:
        return levels(self._leaves)

    def block(self, tree: Tree, step: int, item: int, index: int) -> bytes:
        raise AssertionError("nobody asks for blocks here")


def test_below__shown_from_higher_up__is_what_a_reveal_of_fewer_levels_shows() -> None:
    node = fold(LEAVES[:32], 5)
    known = Known(ZERO, preimages={node: LEAVES[:32]})
    assert list(known.below(node, 7, 0, 128)) == LEAVES[:32]
    assert list(known.below(node, 3, 0, 8)) == levels(LEAVES[:32])[2]


def test_below__last_node_of_its_level__leaves_the_padding_out() -> None:
    shown = LEAVES[:5]
    node = fold(shown, 3)
    known = Known(ZERO, preimages={node: shown})
    assert list(known.below(node, 3, 0, 5)) == shown
    # In a wider tree the same node has explicit zeros: as many as still hash to it.
    assert list(known.below(node, 3, 0, 6)) == [*shown, ZERO]
    assert known.below(node, 3, 0, 8) == ()
    assert known.below(node, 3, 0, 4) == ()


def test_below__opened_with_other_nodes__is_no_reveal() -> None:
    node = fold(LEAVES[:3], 2)
    known = Known(ZERO, preimages={node: LEAVES[:3]})
    assert known.below(node, 5, 0, 20) == ()
    assert known.below(node, 2, 0, 3) == LEAVES[:3]
    assert Known(ZERO).below(node, 2, 0, 3) == ()


def test_rows_to__wrong_nodes__are_none() -> None:
    assert rows_to(fold(LEAVES[:4], 2), LEAVES[:3]) == []
    assert rows_to(ZERO, []) == []
    assert rows_to(fold(LEAVES[:1], 5), LEAVES[:1])[-1] == [fold(LEAVES[:1], 5)]


def test_claimed_levels__zeros_among_the_leaves__are_hashed_as_the_contract_does() -> None:
    claimed = [*LEAVES[:10], ZERO, ZERO, *LEAVES[12:30]]
    root = fold(claimed, 5)
    known = Known(ZERO, steps_root=root, preimages={root: claimed})
    found = claimed_levels(known, Truth(LEAVES[:30]), Tree.STEPS)
    assert found == levels(claimed)
    assert climb(claimed[9], 9, 0, 5, 30, siblings_of(found, 9)) == root


def test_attack__a_dirty_block_shown_elsewhere__is_no_answer_here() -> None:
    """The bytes of a full block of one tensor, put at the end of another, where they have a tail:
    nobody can reveal them there, and the challenger must not try."""
    of = case("mlp")
    claimed = liars.one_bit_in(0, 1, 300)(of)
    table = table_of(of, claimed)
    number = table.move("challenge", who=ALICE)
    challenger, provider = Challenger(of, ALICE), Stubborn(claimed, PROVIDER)
    x = table.challenge_of(number)
    while not (x.tree is Tree.OPERATION_BLOCKS and x.level == 0):
        if x.wait is Wait.CHALLENGER:
            challenger.move(table, number)
        else:
            assert provider.answer(table, number)
        x = table.challenge_of(number)
    dirty = bytes(511) + b"\1"
    table.blocks[x.node] = dirty
    waiting = replace(x, wait=Wait.REVEAL, known=False, last_bytes=100, index=x.count - 1)
    attack = Attack(of.example.program, of.steps, of.truth, table.known, prover_of(of, table))
    assert attack.moves(waiting) == [], "the provider's clock decides"
    full = replace(waiting, last_bytes=BLOCK_BYTES)
    assert attack.moves(full)[0] == RevealBlock(dirty)
