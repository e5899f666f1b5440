"""Refusals by the dispute game and its referees: as those in ``protocol.chain.reverts``."""

from __future__ import annotations

from enum import IntEnum

from protocol.chain.refusal import Reverted
from protocol.spec.dispute import Outcome, Wait
from protocol.spec.referee import Proof
from protocol.spec.trace import Tree

Field = IntEnum(
    "Field",
    "HEADER VERSION TABLE DECL DTYPE DIMS SHAPE ELEMENTS INIT KIND FOLD SLOTS VIEWS RDIGITS "
    "LIVE_OUT SLOT VIEW DIGITS GUARDS GUARD CODE OPCODE INSTRUCTION INSTANCE SOURCE NEXT PHASE",
    start=0,
)
"""What an error about a program's bytes is about: as in ProgramDecoder.sol."""

# --- DisputeGame ---------------------------------------------------------------------------------


class WrongBond(Reverted):
    """Send exactly the bond in native money: read it again, it falls when the claim is opened."""


class WrongTerms(Reverted):
    """The terms are not those of the claim's job: take those that the job was posted with."""


class NotLive(Reverted):
    """There is no such challenge, or it has ended: read it again."""

    KINDS = {"got": Outcome}


class HasFallen(Reverted):
    """The claim was rejected: what is left is to collect the bond."""


class HasNotFallen(Reverted):
    """The claim stands: bonds and fees come back when it falls."""


class WrongTurn(Reverted):
    """It is another move's turn: read the challenge again; perhaps the answer was given."""

    KINDS = {"got": Wait, "wanted": Wait}


class NotCourt(Reverted):
    """Only the court ends a claim from outside."""


class NoSuchStep(Reverted):
    """The job has fewer steps."""


class NotChallenger(Reverted):
    """Only who opened the challenge leads it: use its wallet."""


class NothingToReveal(Reverted):
    """What is below the node was revealed before, or there is nothing: read the challenge again."""


class WrongLevels(Reverted):
    """Point down over all levels that were revealed, and not below the leaves."""


class OutsideNode(Reverted):
    """The index is not below the challenge's node: read the challenge again."""


class WrongNode(Reverted):
    """The nodes do not hash to the one that is wanted: build them from the claimed trace."""


class NotHere(Reverted):
    """The challenge is not at the place that this tree or proof begins from."""

    KINDS = {"tree": Tree}


class EmptyTree(Reverted):
    """The tree has no leaves, and its root says so: there is nothing to dispute in it."""


class StepHalted(Reverted):
    """The step started with halt set: it has no operations, dispute the halt."""


class NotOneBlock(Reverted):
    """A block has 512 bytes: fill the last one with zeros."""


class DirtyTail(Reverted):
    """Beyond the tensor's bytes the last block must be zero."""


class ProvesNothing(Reverted):
    """What the proof compares is equal, or what it shows is legal: nothing is wrong here."""


class WrongChildren(Reverted):
    """Place and size of the tree say how many nodes a reveal has: send exactly those."""


class OutsideTree(Reverted):
    """The index is beyond the tree's leaves."""


class WrongPathLength(Reverted):
    """Place and size of the tree say how many siblings a path has: leave the padding out."""


# --- the referees --------------------------------------------------------------------------------


class WrongPlace(Reverted):
    """The proof is about another place than the challenge has reached."""


class UnknownProof(Reverted):
    """This referee does not judge such a proof."""

    KINDS = {"kind": Proof}


class UnknownTree(Reverted):
    """No tree is entered this way."""

    KINDS = {"tree": Tree}


class WrongCommitment(Reverted):
    """A part of the proof does not hash to what was committed: build it from the same job."""


class BadTensor(Reverted):
    """A tensor of the program has no size: the program is illegal, prove that instead."""


class ElementElsewhere(Reverted):
    """The element is not in the block that the challenge has reached."""


class WrongOperands(Reverted):
    """The operation has another number of operands than the proof brings."""


class WrongMeta(Reverted):
    """A wrapper's two words come with constants and inputs only."""


class WrongNext(Reverted):
    """The step changes the state in another way than the proof is for."""


class NoSuchElement(Reverted):
    """The output has fewer elements."""


class WrongRootCount(Reverted):
    """A proof brings one block root for each operand."""


class RunOutOfOrder(Reverted):
    """Blocks come by ascending operand, then block, without overlap."""


class WrongRoot(Reverted):
    """Blocks of an operand do not give its root: build them from the claimed trace."""


class BlockMissing(Reverted):
    """The element reads a block that the proof does not bring."""


class NoSuchOperand(Reverted):
    """A view or a bound names an operand that the template does not have."""


class NotWholeBlocks(Reverted):
    """Blocks come whole, 512 bytes each, at least one."""


class NoSuchView(Reverted):
    """An instruction reads a view that is not there: the program is illegal."""


class BadReduction(Reverted):
    """A reduction has more positions than any legal one, or none: the program is illegal."""


class NoSuchAxis(Reverted):
    """An instruction names an axis that is not there: the program is illegal."""


class WrongLength(Reverted):
    """A descriptor has another length than its own counts say."""


class UnknownCode(Reverted):
    """A descriptor holds a number that is no code of its field: the program is illegal."""

    KINDS = {"field": Field}


class OverLimit(Reverted):
    """A descriptor holds more than the machine allows: the program is illegal."""

    KINDS = {"field": Field}


class ReservedBits(Reverted):
    """A descriptor sets bits that must be zero: the program is illegal."""

    KINDS = {"field": Field}


class Mismatch(Reverted):
    """A descriptor says the same number twice, and differently: the program is illegal."""

    KINDS = {"field": Field}
