"""What proves that a job is illegal: the structs of contracts/types/LegalityProofs.sol.

Field by field what `abi.encode` takes.  A part that a case does not need is ``NO_LEAF`` or
``NO_PHASE`` and is not read.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from protocol.spec.proofs import BlockRun, Leaf, PhasePart, ProgramPart


class Illegality(IntEnum):
    """What is shown to be illegal; clauses as in ``legality``.

    PROGRAM: P1, or bytes of the header, of an output or of a phase's head that do not decode.
    DECLARATION: D1 of a constant or an input.  STATE: D1 or D2.  TEMPLATE: T1 to T9.  INSTANCE: I1
    or I2.  NEXT: N1.  For all of these also bytes that do not decode.  STEPS: the job asks a phase
    for more steps than it allows, a phase that does not exist, or has a program of more phases than
    a job can count.  TENSOR: a constant or input has another dtype or shape than declared.
    ELEMENT: an element of a constant is beyond its declared bound.  LENGTH: a descriptor is longer
    or shorter than any that decodes, its bytes need not be brought.
    """

    PROGRAM = 0
    DECLARATION = 1
    STATE = 2
    TEMPLATE = 3
    INSTANCE = 4
    NEXT = 5
    STEPS = 6
    TENSOR = 7
    ELEMENT = 8
    LENGTH = 9


class ProgramClause(IntEnum):
    """What a ``ProgramCase`` is about, beside the header."""

    HEADER = 0
    OUTPUT = 1
    HALT = 2
    PHASE = 3


class Listing(IntEnum):
    """The lists of descriptors that carry their length under the program root."""

    CONSTANTS = 0
    INPUTS = 1
    STATES = 2
    OUTPUTS = 3
    TEMPLATES = 4
    INSTANCES = 5
    NEXTS = 6


class ProgramCase(NamedTuple):
    program: ProgramPart
    clause: ProgramClause
    number: int
    leaf: Leaf
    phase: PhasePart


class DeclarationCase(NamedTuple):
    program: ProgramPart
    is_input: bool
    number: int
    declaration: Leaf


class StateCase(NamedTuple):
    program: ProgramPart
    number: int
    state: Leaf
    start: Leaf


class TemplateCase(NamedTuple):
    program: ProgramPart
    number: int
    template: Leaf


class Named(NamedTuple):
    """What an operand or a next names; ``template`` only of an instance."""

    descriptor: Leaf
    template: Leaf


class InstanceCase(NamedTuple):
    program: ProgramPart
    phase_number: int
    phase: PhasePart
    number: int
    instance: Leaf
    template: Leaf
    operand: int
    source: Named


class NextCase(NamedTuple):
    program: ProgramPart
    phase_number: int
    phase: PhasePart
    number: int
    next: Leaf
    state: Leaf
    value: Named
    slice: Named


class StepsCase(NamedTuple):
    program: ProgramPart
    phase_number: int
    phase: PhasePart


class TensorCase(NamedTuple):
    program: ProgramPart
    is_input: bool
    number: int
    declaration: Leaf
    meta: tuple[bytes, bytes]
    root: bytes
    siblings: list[bytes]


class ElementCase(NamedTuple):
    program: ProgramPart
    number: int
    declaration: Leaf
    siblings: list[bytes]
    block: BlockRun
    element: int


class LengthCase(NamedTuple):
    program: ProgramPart
    listing: Listing
    phase_number: int
    phase: PhasePart
    number: int
    length: int
    hash: bytes
    siblings: list[bytes]


Case = (
    ProgramCase
    | DeclarationCase
    | StateCase
    | TemplateCase
    | InstanceCase
    | NextCase
    | StepsCase
    | TensorCase
    | ElementCase
    | LengthCase
)

NO_LEAF: Final = Leaf(b"", [])
NO_NAMED: Final = Named(NO_LEAF, NO_LEAF)
NO_PHASE: Final = PhasePart(b"", bytes(32), bytes(32), [])

_PROGRAM: Final = "(bytes,bytes32[])"
_PHASE: Final = "(bytes,bytes32,bytes32,bytes32[])"
_LEAF: Final = "(bytes,bytes32[])"
_NAMED: Final = f"({_LEAF},{_LEAF})"
_RUN: Final = "(uint8,uint64,bytes,bytes32[])"

ABI: Final[dict[type, str]] = {
    ProgramCase: f"({_PROGRAM},uint8,uint256,{_LEAF},{_PHASE})",
    DeclarationCase: f"({_PROGRAM},bool,uint256,{_LEAF})",
    StateCase: f"({_PROGRAM},uint256,{_LEAF},{_LEAF})",
    TemplateCase: f"({_PROGRAM},uint256,{_LEAF})",
    InstanceCase: f"({_PROGRAM},uint256,{_PHASE},uint256,{_LEAF},{_LEAF},uint256,{_NAMED})",
    NextCase: f"({_PROGRAM},uint256,{_PHASE},uint256,{_LEAF},{_LEAF},{_NAMED},{_NAMED})",
    StepsCase: f"({_PROGRAM},uint256,{_PHASE})",
    TensorCase: f"({_PROGRAM},bool,uint256,{_LEAF},bytes32[2],bytes32,bytes32[])",
    ElementCase: f"({_PROGRAM},uint256,{_LEAF},bytes32[],{_RUN},uint256)",
    LengthCase: f"({_PROGRAM},uint8,uint256,{_PHASE},uint256,uint256,bytes32,bytes32[])",
}
"""ABI type of each case."""
