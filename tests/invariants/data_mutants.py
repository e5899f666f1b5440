"""Planted faults in the referees of demands and of legality, and the run that finds each."""

from __future__ import annotations

from tests.invariants.mutants import Mutant

DATA = "DataReferee.sol"
LEGALITY = "LegalityReferee.sol"
CLAUSES = "libraries/Legality.sol"
CODE = "libraries/LegalityCode.sol"
VIEW = "libraries/LegalityView.sol"

DEMANDED = (
    Mutant(
        "half a run answers for it",
        DATA,
        "if (p.blocks.length != run * BLOCK_BYTES) {",
        "if (p.blocks.length > run * BLOCK_BYTES) {",
        "answers",
    ),
    Mutant(
        "any tensor answers",
        DATA,
        "TraceProofs.equal(BlockTree.rootOfLeaf(tensor, c.item, count, p.tensor), root);",
        "",
        "answers",
    ),
    Mutant(
        "an output is the state of its number",
        DATA,
        "uint256 n = uint256(bytes32(p.output.data[0:WORD]));",
        "uint256 n = c.item;",
        "answers",
    ),
    Mutant(
        "a run behind the last has bytes",
        DATA,
        "if (c.index >= (run + RUN_BLOCKS - 1) / RUN_BLOCKS) return 0;",
        "if (c.index > (run + RUN_BLOCKS - 1) / RUN_BLOCKS) return 0;",
        "answers",
    ),
    Mutant(
        "as many next-states as operations",
        DATA,
        "if (part == Part.NEXT) (tag, root, count) = (TAG_NEXT, p.phase.nexts, h.states);",
        "if (part == Part.NEXT) (tag, root) = (TAG_NEXT, p.phase.nexts);",
        "answers",
    ),
)

LEGAL = (
    Mutant(
        "an operand of any size",
        CLAUSES,
        "if (source.dtype != dtype || source.elements != count) return false;",
        "if (source.dtype != dtype) return false;",
        "legality",
    ),
    Mutant(
        "what has no bound is within any",
        CLAUSES,
        "return source.bounded && source.bound <= bound;",
        "return source.bound <= bound;",
        "legality",
    ),
    Mutant(
        "a slice named by many numbers",
        CLAUSES,
        "return t.dtype == DType.I64 && t.elements == 1;",
        "return t.dtype == DType.I64;",
        "legality",
    ),
    Mutant(
        "an operation reads itself",
        LEGALITY,
        "if (index >= p.index) return (false, result);",
        "if (index > p.index) return (false, result);",
        "legality",
    ),
    Mutant(
        "an input keeps the bound that it may not declare",
        LEGALITY,
        "if (isInput) d.bound = 0; // an input may not declare any",
        "",
        "legality",
    ),
    Mutant(
        "steps of a phase that is not there",
        LEGALITY,
        "if (!ok || h.phases > MAX_PHASES || task.steps >> (32 * h.phases) != 0) return true;",
        "if (!ok || h.phases > MAX_PHASES) return true;",
        "legality",
    ),
    Mutant(
        "beyond a limit is not undecodable",
        LEGALITY,
        "|| error == ProgramDecoder.OverLimit.selector\n",
        "\n",
        "legality",
    ),
    Mutant(
        "a register reads itself",
        CODE,
        "return register < n && (code.floats >> register) & 1 == wanted;",
        "return register <= n && (code.floats >> register) & 1 == wanted;",
        "legality",
    ),
    Mutant(
        "one element behind the slot is in it",
        VIEW,
        "return low >= 0 && high < int256(count);",
        "return low >= 0 && high <= int256(count);",
        "legality",
    ),
)

REFEREES_OF_DATA = (*DEMANDED, *LEGAL)
