"""Planted faults in trees, bindings and the referees, and the cheapest run that finds each."""

from __future__ import annotations

from tests.invariants.mutants import Mutant

BLOCKS = "libraries/BlockTree.sol"
NODES = "libraries/NodePath.sol"
PROOFS = "libraries/TraceProofs.sol"
DECODER = "libraries/ProgramDecoder.sol"
TENSOR = "TensorReferee.sol"
TRACE = "TraceReferee.sol"

TREES = (
    Mutant(
        "swapped children",
        BLOCKS,
        "mstore(side, node)\n                mstore(xor(side, 0x20), sibling)",
        "mstore(xor(side, 0x20), node)\n                mstore(side, sibling)",
        "BlockTree",
    ),
    Mutant(
        "siblings left over above a leaf",
        BLOCKS,
        "(node, used) = _climb(leaf, index, count, siblings, 0);\n"
        "        if (used != siblings.length) revert WrongPathLength(siblings.length, used);",
        "(node, used) = _climb(leaf, index, count, siblings, 0);",
        "referees",
    ),
    Mutant(
        "siblings left over above blocks",
        BLOCKS,
        "(root, used) = _climb(root, first, count, siblings, used);\n"
        "        if (used != siblings.length) revert WrongPathLength(siblings.length, used);",
        "(root, used) = _climb(root, first, count, siblings, used);",
        "BlockTree",
    ),
    Mutant(
        "a leaf in the padding",
        BLOCKS,
        "if (index >= count) revert OutsideTree(index, count);",
        "",
        "DisputePath",
    ),
    Mutant(
        "a run that leaves the tensor",
        BLOCKS,
        "if (first >= count || run > count - first) revert",
        "if (first >= count) revert",
        "BlockTree",
    ),
    Mutant(
        "a forgotten tail",
        BLOCKS,
        "if (dirt != 0) revert DirtyTail(size);",
        "",
        "BlockTree",
    ),
    Mutant(
        "an odd run takes no sibling on its right",
        BLOCKS,
        "if ((first + run) & 1 == 1 && first + run < count) right =",
        "if ((first + run) & 1 == 1 && first + run > count) right =",
        "BlockTree",
    ),
    Mutant(
        "a node in the padding",
        NODES,
        "if (index >= widthAt(count, level)) {",
        "if (index >= 1 << 63) {",
        "DisputePath",
    ),
    Mutant(
        "children swapped on the way up",
        NODES,
        "node = index & 1 == 1 ? _hash(sibling, node) : _hash(node, sibling);",
        "node = index & 1 == 0 ? _hash(sibling, node) : _hash(node, sibling);",
        "DisputePath",
    ),
    Mutant(
        "siblings left over on the way up",
        NODES,
        "if (used != siblings.length) revert BlockTree.WrongPathLength(siblings.length, used);",
        "",
        "DisputePath",
    ),
    Mutant(
        "children beyond the edge",
        NODES,
        "return left < 1 << fan ? left : 1 << fan;",
        "return 1 << fan;",
        "DisputePath",
    ),
    Mutant(
        "an odd level is not padded",
        NODES,
        "if (width & 1 == 1) level[width] = 0;",
        "if (width & 1 == 1) level[width] = level[0];",
        "GameRules",
    ),
    Mutant(
        "a phase one step longer",
        PROOFS,
        "while (t >= uint32(steps >> (32 * number))) {",
        "while (t > uint32(steps >> (32 * number))) {",
        "referees",
    ),
)

BINDINGS = (
    Mutant(
        "another program",
        PROOFS,
        "equal(BlockTree.programRoot(p.header, p.tables), c.task.programRoot);",
        "",
        "referees",
    ),
    Mutant(
        "another phase",
        PROOFS,
        "equal(root, p.tables[uint256(Table.PHASES)]);",
        "",
        "referees",
    ),
    Mutant(
        "another descriptor",
        PROOFS,
        "equal(BlockTree.rootOfLeaf(hash, index, count, part.siblings), root);",
        "",
        "referees",
    ),
    Mutant(
        "another hash",
        PROOFS,
        "equal(BlockTree.rootOfLeaf(part.root, index, count, part.siblings), root);",
        "",
        "referees",
    ),
    Mutant(
        "the state after the step",
        PROOFS,
        "return inner(part, c.step - 1, c.leaves, c.stepsRoot);",
        "return inner(part, c.step, c.leaves, c.stepsRoot);",
        "referees",
    ),
    Mutant(
        "another block than the claimed",
        PROOFS,
        "equal(keccak256(data), c.node);",
        "",
        "referees",
    ),
    Mutant(
        "an element of another block",
        PROOFS,
        "if ((index << bits) / BLOCK_BYTES != c.index) revert ElementElsewhere(index, c.index);",
        "",
        "referees",
    ),
    Mutant(
        "elements of eight bytes count as four",
        PROOFS,
        "if (dtype == uint256(DType.I64)) bits = 3;",
        "if (dtype == uint256(DType.I64)) bits = 2;",
        "referees",
    ),
    Mutant(
        "an operand bound to nothing",
        TENSOR,
        "TraceProofs.equal(BlockTree.rootOfLeaf(leaf, index, count, part.siblings), wanted);",
        "",
        "referees",
    ),
    Mutant(
        "constants bound to the inputs",
        TENSOR,
        "(wanted, count) = source == Source.CONST\n",
        "(wanted, count) = source == Source.INPUT\n",
        "referees",
    ),
    Mutant(
        "a wrapper without its shape",
        TENSOR,
        "keccak256(abi.encodePacked(TAG_TENSOR, meta, root));",
        "keccak256(abi.encodePacked(TAG_TENSOR, root));",
        "referees",
    ),
    Mutant(
        "a wrapper where there is none",
        TENSOR,
        "if (part.meta.length != 0) revert WrongMeta(part.meta.length, 0);",
        "",
        "referees",
    ),
    Mutant(
        "any step",
        TENSOR,
        "_same(p.scalars.step, int256(c.step - 1));",
        "",
        "referees",
    ),
    Mutant(
        "any step of the phase",
        TENSOR,
        "_same(p.scalars.phaseStep, int256(phaseStep));",
        "",
        "referees",
    ),
    Mutant(
        "any seed",
        TENSOR,
        "_same(p.scalars.seed, c.task.seed);",
        "",
        "referees",
    ),
    Mutant(
        "operands left over",
        TENSOR,
        "if (p.operands.length != i.operandCount || p.roots.length != i.operandCount) {",
        "if (p.operands.length < i.operandCount || p.roots.length < i.operandCount) {",
        "referees",
    ),
    Mutant(
        "equal is wrong",
        TENSOR,
        "return _recomputed(p) != _claimed(c, p);",
        "return _recomputed(p) == _claimed(c, p);",
        "referees",
    ),
    Mutant(
        "a kept state is any state",
        TRACE,
        "wanted = TraceProofs.inner(p.source, c.item, h.states, before);",
        "wanted = p.source.root;",
        "referees",
    ),
    Mutant(
        "a next-state is any operation",
        TRACE,
        "wanted = TraceProofs.inner(p.source, n.value, count, TraceProofs.operationsRoot(c));",
        "wanted = p.source.root;",
        "referees",
    ),
    Mutant(
        "the old element where a slice is written",
        TRACE,
        "if (at == int256((e / w.inner) % w.width)) {",
        "if (at == int256((e / w.inner) % w.width) + 1) {",
        "referees",
    ),
    Mutant(
        "a slice read from its first row",
        TRACE,
        "e -= w.inner * (e / w.inner - e / (w.inner * w.width));",
        "e -= w.inner * (e / w.inner);",
        "referees",
    ),
    Mutant(
        "a start without its shape",
        TRACE,
        "return source != BlockTree.wrap(d.dtype, d.dims, d.elements, d.shape, c.node);",
        "return source != c.node;",
        "referees",
    ),
    Mutant(
        "a filled start whose last node is full",
        TRACE,
        "last = count & 1 == 1 ? _hash(last, ZERO) : _hash(full, last);",
        "last = count & 1 == 1 ? _hash(last, last) : _hash(full, last);",
        "referees",
    ),
    Mutant(
        "a filled tail",
        TRACE,
        "last = _filledBlock(swapped, size - (count - 1) * BLOCK_BYTES);",
        "last = _filledBlock(swapped, BLOCK_BYTES);",
        "referees",
    ),
    Mutant(
        "an output of the step before the last",
        TRACE,
        "TraceProofs.inner(p.last, c.leaves - 1, c.leaves, c.stepsRoot);",
        "TraceProofs.inner(p.last, c.leaves - 2, c.leaves, c.stepsRoot);",
        "referees",
    ),
    Mutant(
        "a halt that may change states",
        TRACE,
        "if (TraceProofs.littleEndian(p.data, 0, 4) != 0) return c.node != before;",
        "if (TraceProofs.littleEndian(p.data, 0, 4) != 0) return false;",
        "referees",
    ),
    Mutant(
        "a program without halt may halt",
        TRACE,
        "if (h.halt == NONE32) return c.operationsRoot == HALTED;",
        "if (h.halt == NONE32) return false;",
        "referees",
    ),
    Mutant(
        "a halt state of another hash",
        TRACE,
        "TraceProofs.equal(keccak256(p.data), root);",
        "",
        "referees",
    ),
    Mutant(
        "a last block without bytes",
        TRACE,
        "lastBytes = size - (count - 1) * BLOCK_BYTES;",
        "lastBytes = size % BLOCK_BYTES;",
        "referees",
    ),
    Mutant(
        "reserved bits mean nothing",
        DECODER,
        "if (dirt != 0) revert ReservedBits(Field.INSTRUCTION);",
        "",
        "ProgramDecoder",
    ),
    Mutant(
        "a declaration of another count",
        DECODER,
        "if (product != d.elements) revert Mismatch(Field.ELEMENTS, d.elements, product);",
        "",
        "ProgramDecoder",
    ),
)

REFEREE = (*TREES, *BINDINGS)
