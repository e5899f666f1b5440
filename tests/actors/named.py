"""The named liars: what each claims, by which fault it falls, and where its dispute ends.

Each is played to the last move, in the twin and on a chain, by tests/game/test_named_liars.py; the
money of every party is compared with what the rules promise.  Those that are no matter of a trace
are actors of their own here, played by test_named_liars_*.py beside it:

- silence: ``provider.Silent``, at each move of a whole dispute;
- evasive: ``evasive.Evasive`` reveals what was not asked for;
- claims: ``stranger.Stranger`` opens another's claim, ``replayer.Replayer`` brings an old
  attempt's moves and proofs against a new claim;
- rivals: two honest challengers (``challenger.play_all``), ``colluder.Colluder`` who challenges
  first, ``sybil.Sybil`` that copies a proof;
- stallers: ``walker.Walker`` at each depth of each tree, as slow as its clocks allow;
- crowd: ``siege.Siege``, 500 false challengers at once against one provider, and one of 500 claims;
- withheld: ``withholder.Withholder`` keeps outputs and constants to itself;
- illegal: ``trap.Trap``, a job that breaks each clause of what is legal, for whoever challenges and
  for whoever provides; constants of -32768 beyond their declared bound among them;
- edges: a liar that opens at once before a thousand steps, reveals through a proxy, payees who
  cannot be paid, 300 outputs, legal weights of 32767 and -32768.

A price ramp has one value until ramps exist, and accepting names the terms by their hash: after a
reorganisation it takes that job or none (tests/contracts/test_attacks.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocol.spec.job import Fault
from protocol.spec.trace import Place, Tree
from protocol.spec.types import DType
from tests.actors import forgers, liars
from tests.actors.liars import Lie
from tests.actors.programs import LAYERS, largest_of, product_of, quantised_of

WRONG: Final = Fault.WRONG
SILENT: Final = Fault.SILENT


@dataclass(frozen=True)
class Named:
    """A liar: the program of its job, what it claims, its fault, the last node of its dispute.

    ``ends.index`` is the node's number at its level: a leaf, or what the liar cannot reveal.
    ``refused`` is the error that its last answer meets, if it has one to try.
    """

    program: str
    lie: Lie
    fault: Fault
    ends: Place
    refused: str = ""


def _block(operation: int, block: int = 0, step: int = 1) -> Place:
    return Place(Tree.OPERATION_BLOCKS, step, operation, block)


def _output(item: int) -> Place:
    return Place(Tree.OUTPUTS, 0, item, item)


MIDDLE: Final = product_of(LAYERS // 2)
"""The output of a layer in the middle of ``layered``."""

_EVERY_ROW: Final = tuple(quantised_of(layer) for layer in range(LAYERS))

NAMED: Final[Mapping[str, Named]] = {
    # --- numbers ---------------------------------------------------------------------------------
    "one flipped bit in one element of a middle layer": Named(
        "layered", liars.one_bit_in(0, MIDDLE, 700), WRONG, _block(MIDDLE, 1)
    ),
    "a wrong weight": Named(
        # Constants are the weights and the bias of each layer, in turn.
        "layered", forgers.wrong_weight(2 * 4, 9), WRONG, _block(product_of(4))
    ),
    "a skipped layer": Named(
        "layered", forgers.skipped(MIDDLE, MIDDLE - 3), WRONG, _block(MIDDLE)
    ),
    "a number in a state that no slice write made": Named(
        "counter", liars.wrong_state(4, 2, 8), WRONG, Place(Tree.STATE_BLOCKS, 4, 2, 0)
    ),
    "lower precision: eight bits for sixteen": Named(
        "layered", forgers.eight_bits(_EVERY_ROW), WRONG, _block(quantised_of(0))
    ),
    "lower precision: a short mantissa": Named(
        "layered", forgers.in_bfloat16, WRONG, _block(largest_of(0))
    ),
    # --- copies ----------------------------------------------------------------------------------
    "a result copied from a job with other inputs": Named(
        "layered", forgers.of_other_inputs, WRONG, _block(quantised_of(0))
    ),
    "a result copied from a job whose start is another input": Named(
        "phases", forgers.of_other_inputs, WRONG, Place(Tree.STATES, 0, 0, 0)
    ),
    "a result copied from a job with another seed": Named(
        "counter", forgers.of_another_seed, WRONG, _block(3)
    ),
    # --- roots -----------------------------------------------------------------------------------
    "a garbage trace root": Named(
        "counter", forgers.garbage_root, SILENT, Place(Tree.STATES, 0, 0, 0)
    ),
    "a garbage trace root of many steps": Named(
        "alphabet", forgers.garbage_root, SILENT, Place(Tree.STEPS, 0, 0, 0),
        "WrongNode",
    ),
    "a right trace with a wrong output": Named(
        "layered", liars.wrong_output(1), WRONG, _output(1)
    ),
    # --- padding ---------------------------------------------------------------------------------
    "garbage in the tail of an operation": Named(
        "counter", liars.garbage_in_the_tail(2, 1), SILENT, _block(1, 0, 3),
        "DirtyTail",
    ),
    "garbage in the tail of a state": Named(
        "counter", forgers.garbage_in_a_state(4, 2), SILENT, Place(Tree.STATE_BLOCKS, 4, 2, 0),
        "DirtyTail",
    ),
    "garbage in the tail of a filled start": Named(
        "counter", forgers.garbage_in_a_state(0, 2), WRONG, Place(Tree.STATES, 0, 2, 2)
    ),
    "a block in the padding": Named(
        "layered", forgers.one_block_more(product_of(3)), SILENT, _block(product_of(3)),
        "WrongChildren",
    ),
    "an operation in the padding": Named(
        "mlp", liars.one_operation_more(0), SILENT, Place(Tree.OPERATIONS, 1, 0, 0),
        "WrongChildren",
    ),
    "an operation beyond the padding": Named(
        # A tree of another depth: two of its operations' parent is in the place of the first.
        "counter", liars.one_operation_more(2), SILENT, _block(0, 0, 3)
    ),
    "a state in the padding": Named(
        "counter", forgers.one_state_more(3), SILENT, Place(Tree.STATES, 3, 0, 0),
        "WrongChildren",
    ),
    "a step in the padding": Named(
        "alphabet", forgers.one_step_more, SILENT, Place(Tree.STEPS, 0, 0, 31),
        "WrongChildren",
    ),
    "a step in the padding of one reveal": Named(
        "counter", forgers.one_step_more, SILENT, Place(Tree.STEPS, 0, 0, 0),
        "WrongChildren",
    ),
    "an output in the padding": Named(
        "layered", forgers.one_output_more, SILENT, Place(Tree.OUTPUTS, 0, 0, 0),
        "WrongChildren",
    ),
    # --- wrappers --------------------------------------------------------------------------------
    "a tensor wrapper with a wrong count": Named(
        "layered", forgers.misdeclared_output(2, DType.F32, (5, 63)), WRONG, _output(2)
    ),
    "a tensor wrapper with another shape of the same count": Named(
        "layered", forgers.misdeclared_output(0, DType.F32, (64, 5)), WRONG, _output(0)
    ),
    "a tensor wrapper with another dtype": Named(
        "layered", forgers.misdeclared_output(1, DType.I32, (5, 64)), WRONG, _output(1)
    ),
    # --- reveals ---------------------------------------------------------------------------------
    "an operation without preimage": Named(
        "layered", forgers.hidden_operation(0, quantised_of(8)), SILENT, _block(quantised_of(8))
    ),
    "a block without preimage": Named(
        "layered", forgers.hidden_block(MIDDLE, 2), SILENT, _block(MIDDLE, 2),
        "WrongNode",
    ),
    "states without preimage": Named(
        "counter", forgers.hidden_states(4), SILENT, Place(Tree.STATES, 4, 0, 0)
    ),
    "a state without preimage where it is the only one": Named(
        # Its node is the step's leaf: it need not be shown to differ from the operation's.
        "alphabet", forgers.hidden_states(500), WRONG, Place(Tree.STATES, 500, 0, 0)
    ),
}  # fmt: skip
