"""Whether a proof shows that a job is illegal: the twin of contracts/LegalityReferee.sol.

Every function binds what was sent to the task (ProofError where the contract reverts), says True
as soon as any of it does not decode or breaks the clause, else False.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from protocol.spec import decoding, legality, trees
from protocol.spec.constants import (
    BLOCK_BYTES,
    MAX_DIGITS,
    MAX_GUARDS,
    MAX_INSTRUCTIONS,
    MAX_RDIGITS,
    MAX_SLOTS,
    MAX_VIEWS,
    TAG_DECL,
    TAG_INSTANCE,
    TAG_NEXT,
    TAG_OUTPUTS,
    TAG_PHASE,
    TAG_PROGRAM,
    TAG_STATE,
    TAG_TEMPLATE,
    TAG_TENSOR,
    WORD,
)
from protocol.spec.decoding import Header
from protocol.spec.errors import DecodeError, IllegalProgram, ProofError
from protocol.spec.job import MAX_PHASES, Task
from protocol.spec.legality_proofs import (
    Case,
    DeclarationCase,
    ElementCase,
    Illegality,
    InstanceCase,
    LengthCase,
    Listing,
    Named,
    NextCase,
    ProgramCase,
    ProgramClause,
    StateCase,
    StepsCase,
    TemplateCase,
    TensorCase,
)
from protocol.spec.proofs import BlockRun, Leaf, PhasePart, ProgramPart
from protocol.spec.types import (
    DType,
    InitKind,
    Instance,
    Kind,
    Next,
    NextKind,
    Ref,
    Source,
    Template,
    TensorDecl,
)

T = TypeVar("T")

MAX_TEMPLATE_BYTES: Final = WORD * (
    3
    + MAX_SLOTS
    + MAX_VIEWS * (1 + MAX_GUARDS + MAX_DIGITS + MAX_RDIGITS)
    + 2 * MAX_INSTRUCTIONS * 8 // WORD
)
"""Longest template that decodes."""


class _Undecodable(Exception):
    """Bytes that were bound to the task do not decode: the program is illegal."""


class Tensor(NamedTuple):
    """A tensor that an operation reads, or that a state becomes; ``bound`` None: none is known."""

    dtype: DType
    shape: tuple[int, ...]
    elements: int
    bound: int | None


# --- parts ----------------------------------------------------------------------------------------
# Each binds bytes to their root and decodes them.


def _equal(got: object, wanted: object, what: str) -> None:
    if got != wanted:
        raise ProofError(f"got {what} {got!r}, the commitment is {wanted!r}")


def _root(leaf: bytes, index: int, count: int, siblings: Sequence[bytes]) -> bytes:
    try:
        return trees.root_from_run([leaf], index, count, siblings)
    except IndexError as error:
        raise ProofError(str(error)) from None


def _decoded(read: Callable[[bytes], T], data: bytes) -> T:
    try:
        return read(data)
    except DecodeError as error:
        raise _Undecodable(str(error)) from None


def _header(task: Task, p: ProgramPart) -> Header:
    if len(p.header) != 2 * WORD or len(p.tables) != 6:
        raise ProofError("a header of two words and six tables are wanted")
    got = trees.keccak256(TAG_PROGRAM + p.header + b"".join(p.tables))
    _equal(got, task.program_root, "program root")
    return _decoded(decoding.decode_header, p.header)


def _phase(p: ProgramPart, h: Header, part: PhasePart, number: int) -> tuple[int, int]:
    """Maximum of steps and number of operations."""
    if len(part.head) != WORD:
        raise ProofError(f"a phase's head has one word, got {len(part.head)} bytes")
    leaf = trees.keccak256(TAG_PHASE + part.head + part.instances + part.nexts)
    _equal(_root(leaf, number, h.phases, part.siblings), p.tables[5], "phases table")
    return _decoded(decoding.decode_phase_head, part.head)


def _leaf(tag: bytes, part: Leaf, index: int, count: int, root: bytes) -> bytes:
    _equal(_root(trees.tagged(tag, part.data), index, count, part.siblings), root, "table")
    return part.data


def _decl(p: ProgramPart, h: Header, is_input: bool, part: Leaf, index: int) -> TensorDecl:
    count = h.inputs if is_input else h.constants
    data = _leaf(TAG_DECL, part, index, count, p.tables[1 if is_input else 0])
    return _decoded(decoding.decode_decl, data)


def _template(p: ProgramPart, h: Header, part: Leaf, index: int) -> Template:
    data = _leaf(TAG_TEMPLATE, part, index, h.templates, p.tables[4])
    return _decoded(decoding.decode_template, data)


def _instance(part: Leaf, index: int, count: int, root: bytes) -> Instance:
    return _decoded(decoding.decode_instance, _leaf(TAG_INSTANCE, part, index, count, root))


def _operation(
    p: ProgramPart, h: Header, part: Named, index: int, count: int, root: bytes
) -> Tensor:
    """Output of operation ``index`` of a body of ``count``."""
    instance = _instance(part.descriptor, index, count, root)
    if instance.template >= h.templates:
        raise _Undecodable(f"operation {index} has no template")
    t = _template(p, h, part.template, instance.template)
    bound = legality.final_clamp(t) if t.post else None
    return Tensor(t.dtype, t.shape, t.count, bound)


# --- clauses --------------------------------------------------------------------------------------


def _broken(check: Callable[[], None]) -> bool:
    try:
        check()
    except IllegalProgram:
        return True
    return False


def _program(task: Task, p: ProgramCase) -> bool:
    h = _header(task, p.program)
    if not h.phases or not h.outputs or (h.halt is not None and h.halt >= h.states):
        return True
    if p.clause is ProgramClause.OUTPUT:
        data = _leaf(TAG_OUTPUTS, p.leaf, p.number, h.outputs, p.program.tables[3])
        return len(data) != WORD or int.from_bytes(data, "big") >= h.states
    if p.clause is ProgramClause.HALT and h.halt is not None:
        data = _leaf(TAG_STATE, p.leaf, h.halt, h.states, p.program.tables[2])
        tensor = _decoded(decoding.decode_state, data).tensor
        return (tensor.dtype, tensor.count) != (DType.I32, 1)
    if p.clause is ProgramClause.PHASE:
        max_steps, _ = _phase(p.program, h, p.phase, p.number)
        return not 1 <= max_steps < 1 << 32
    return False


def _declaration(task: Task, p: DeclarationCase) -> bool:
    decl = _decl(p.program, _header(task, p.program), p.is_input, p.declaration, p.number)
    return _broken(lambda: legality.check_decl(decl, "it", may_bound=not p.is_input))


def _state(task: Task, p: StateCase) -> bool:
    h = _header(task, p.program)
    data = _leaf(TAG_STATE, p.state, p.number, h.states, p.program.tables[2])
    tensor, init = (state := _decoded(decoding.decode_state, data)).tensor, state.init
    if _broken(lambda: legality.check_decl(tensor, "it", may_bound=True)):
        return True
    if init.kind is InitKind.FILL:
        return not legality.fits(tensor.dtype, init.value) or (
            tensor.bound > 0 and abs(init.value) > tensor.bound
        )
    is_input = init.kind is InitKind.INPUT
    if not 0 <= init.value < (h.inputs if is_input else h.constants):
        return True
    start = _decl(p.program, h, is_input, p.start, init.value)
    if (start.dtype, start.shape) != (tensor.dtype, tensor.shape):
        return True
    return tensor.bound > 0 and (is_input or not 0 < start.bound <= tensor.bound)


def _template_case(task: Task, p: TemplateCase) -> bool:
    t = _template(p.program, _header(task, p.program), p.template, p.number)
    return _broken(lambda: legality.check_template(t))


def _instance_case(task: Task, p: InstanceCase) -> bool:
    h = _header(task, p.program)
    _, count = _phase(p.program, h, p.phase, p.phase_number)
    instance = _instance(p.instance, p.number, count, p.phase.instances)
    if instance.template >= h.templates:
        return True
    t = _template(p.program, h, p.template, instance.template)
    if len(instance.operands) != len(t.slots):
        return True
    if not t.slots:
        return False
    if p.operand >= len(t.slots):
        raise ProofError(f"operand {p.operand} of {len(t.slots)}")
    source = _source(p, h, instance.operands[p.operand], count)
    return source is None or not _operand(t, p.operand, source)


def _source(p: InstanceCase, h: Header, ref: Ref, count: int) -> Tensor | None:
    """What the operand names; None if it does not exist or is not earlier."""
    limits = {
        Source.CONST: h.constants,
        Source.INPUT: h.inputs,
        Source.STATE: h.states,
        Source.OP: p.number,
    }
    if ref.index >= limits[ref.source]:
        return None
    if ref.source is Source.OP:
        return _operation(p.program, h, p.source, ref.index, count, p.phase.instances)
    part = p.source.descriptor
    is_input = ref.source is Source.INPUT
    if ref.source is Source.STATE:
        data = _leaf(TAG_STATE, part, ref.index, h.states, p.program.tables[2])
        decl = _decoded(decoding.decode_state, data).tensor
    else:
        decl = _decl(p.program, h, is_input, part, ref.index)
    bound = None if is_input else decl.bound or None
    return Tensor(decl.dtype, decl.shape, decl.count, bound)


def _operand(t: Template, k: int, source: Tensor) -> bool:
    """I1 and I2 of operand ``k``."""
    if (source.dtype, source.elements) != (t.slots[k].dtype, t.slots[k].count):
        return False
    if t.kind is not Kind.DOT:
        return True
    if len(t.views) < 2:
        return False
    bounds = zip(t.views[:2], (t.bound_a, t.bound_b), strict=True)
    wanted = [bound for view, bound in bounds if view.slot == k]
    return all(source.bound is not None and source.bound <= bound for bound in wanted)


def _next_case(task: Task, p: NextCase) -> bool:
    h = _header(task, p.program)
    _, count = _phase(p.program, h, p.phase, p.phase_number)
    data = _leaf(TAG_NEXT, p.next, p.number, h.states, p.phase.nexts)
    item = _decoded(decoding.decode_next, data)
    if item.kind is NextKind.KEEP:
        return False
    is_slice = item.kind is NextKind.SLICE
    if item.value >= count or (is_slice and item.index >= count):
        return True
    value = _operation(p.program, h, p.value, item.value, count, p.phase.instances)
    data = _leaf(TAG_STATE, p.state, p.number, h.states, p.program.tables[2])
    if not _next(_decoded(decoding.decode_state, data).tensor, item, value):
        return True
    if not is_slice:
        return False
    index = _operation(p.program, h, p.slice, item.index, count, p.phase.instances)
    return (index.dtype, index.elements) != (DType.I64, 1)


def _next(tensor: TensorDecl, item: Next, value: Tensor) -> bool:
    """N1 of a state that becomes, or is written with, ``value``."""
    shape = tensor.shape
    if item.kind is NextKind.SLICE:
        if item.axis >= len(shape):
            return False
        shape = (*shape[: item.axis], 1, *shape[item.axis + 1 :])
    if (value.dtype, value.shape) != (tensor.dtype, shape):
        return False
    return not tensor.bound or (value.bound is not None and value.bound <= tensor.bound)


# --- the job --------------------------------------------------------------------------------------


def _steps(task: Task, p: StepsCase) -> bool:
    h = _header(task, p.program)
    if h.phases > MAX_PHASES or task.steps >> (32 * h.phases):
        return True
    max_steps, _ = _phase(p.program, h, p.phase, p.phase_number)
    return (task.steps >> (32 * p.phase_number)) & 0xFFFFFFFF > max_steps


def _tensor(task: Task, p: TensorCase) -> bool:
    h = _header(task, p.program)
    decl = _decl(p.program, h, p.is_input, p.declaration, p.number)
    leaf = trees.keccak256(TAG_TENSOR + b"".join(p.meta) + p.root)
    _wrapped(task, h, p.is_input, leaf, p.number, p.siblings)
    return leaf != trees.wrap(decl.dtype, decl.shape, p.root)


def _element(task: Task, p: ElementCase) -> bool:
    h = _header(task, p.program)
    decl = _decl(p.program, h, False, p.declaration, p.number)
    if _broken(lambda: legality.check_decl(decl, "it", may_bound=True)):
        return True
    root, raw = _read(p.block, decl, p.element)
    leaf = trees.wrap(decl.dtype, decl.shape, root)
    _wrapped(task, h, False, leaf, p.number, p.siblings)
    return decl.bound > 0 and abs(int.from_bytes(raw, "little", signed=True)) > decl.bound


def _read(run: BlockRun, decl: TensorDecl, element: int) -> tuple[bytes, bytes]:
    """The element's bytes from the one block that holds it, and the root of that block."""
    if element >= decl.count:
        raise ProofError(f"element {element} of {decl.count}")
    at = element * decl.dtype.size
    if len(run.blocks) != BLOCK_BYTES or run.first != at // BLOCK_BYTES:
        raise ProofError(f"block {at // BLOCK_BYTES} is wanted, got {run.first}")
    if any(run.blocks[max(0, decl.nbytes - run.first * BLOCK_BYTES) :]):
        raise ProofError("the tail of the last block is not zero")
    leaf = trees.keccak256(run.blocks)
    root = _root(leaf, run.first, -(-decl.nbytes // BLOCK_BYTES), run.siblings)
    return root, run.blocks[at % BLOCK_BYTES : at % BLOCK_BYTES + decl.dtype.size]


def _wrapped(
    task: Task, h: Header, is_input: bool, leaf: bytes, index: int, siblings: Sequence[bytes]
) -> None:
    """``leaf`` is the tensor root of constant or input ``index`` of the job."""
    root = _root(leaf, index, h.inputs if is_input else h.constants, siblings)
    _equal(root, task.inputs_root if is_input else task.constants_root, "tensors root")


def _length(task: Task, p: LengthCase) -> bool:
    h = _header(task, p.program)
    tag, count, wanted = {
        Listing.CONSTANTS: (TAG_DECL, h.constants, 2 * WORD),
        Listing.INPUTS: (TAG_DECL, h.inputs, 2 * WORD),
        Listing.STATES: (TAG_STATE, h.states, 3 * WORD),
        Listing.OUTPUTS: (TAG_OUTPUTS, h.outputs, WORD),
        Listing.TEMPLATES: (TAG_TEMPLATE, h.templates, MAX_TEMPLATE_BYTES),
        Listing.INSTANCES: (TAG_INSTANCE, 0, 2 * WORD),
        Listing.NEXTS: (TAG_NEXT, h.states, WORD),
    }[p.listing]
    if p.listing < Listing.INSTANCES:
        root = p.program.tables[p.listing]
    else:
        _, instances = _phase(p.program, h, p.phase, p.phase_number)
        root = p.phase.nexts
        if p.listing is Listing.INSTANCES:
            count, root = instances, p.phase.instances
    leaf = trees.keccak256(tag + trees.word(p.length) + p.hash)
    _equal(_root(leaf, p.number, count, p.siblings), root, "list")
    if p.listing is Listing.TEMPLATES:
        return p.length > wanted or p.length % WORD != 0
    return p.length != wanted


_JUDGES: Final[dict[Illegality, tuple[type, Callable[..., bool]]]] = {
    Illegality.PROGRAM: (ProgramCase, _program),
    Illegality.DECLARATION: (DeclarationCase, _declaration),
    Illegality.STATE: (StateCase, _state),
    Illegality.TEMPLATE: (TemplateCase, _template_case),
    Illegality.INSTANCE: (InstanceCase, _instance_case),
    Illegality.NEXT: (NextCase, _next_case),
    Illegality.STEPS: (StepsCase, _steps),
    Illegality.TENSOR: (TensorCase, _tensor),
    Illegality.ELEMENT: (ElementCase, _element),
    Illegality.LENGTH: (LengthCase, _length),
}


def illegal(task: Task, kind: Illegality, proof: Case) -> bool:
    """True if ``proof`` shows that the job is illegal, False if what it shows is legal.

    ProofError for a proof that is not of this task or lacks what it needs.
    """
    wanted, judge = _JUDGES[kind]
    if not isinstance(proof, wanted):
        raise ProofError(f"got {type(proof).__name__} as a proof of {kind.name}")
    try:
        return judge(task, proof)
    except _Undecodable:
        return True
