"""The contract libraries of the tensor machine agree with the spec: files, constants, vectors."""

from __future__ import annotations

import re
from enum import IntEnum
from pathlib import Path

import pytest

from protocol.spec import constants, costs, job, microcode, types
from protocol.spec.legality_proofs import Illegality, Listing, ProgramClause
from protocol.spec.legality_referee import MAX_TEMPLATE_BYTES
from protocol.spec.microcode import Op, signature
from tests.differential.instruction_vectors import pure_opcodes
from tests.differential.solidity_vectors import FILES, FOLDER, text

CONTRACTS = Path(__file__).parents[2] / "contracts"
MACHINE = (CONTRACTS / "types" / "Machine.sol").read_text()


@pytest.mark.parametrize("name", FILES)
def test_vectors__written_again__are_those_in_git(name: str) -> None:
    assert (FOLDER / name).read_text() == text(name), (
        "the spec changed: run `python -m tests.differential.solidity_vectors`"
    )


def test_machine_constants__each__have_the_value_of_the_spec() -> None:
    found = dict(re.findall(r"^\w+ constant (\w+) = ([^;]+);", MACHINE, re.MULTILINE))
    assert len(found) >= 30
    for name, solidity in found.items():
        value = getattr(constants, name)
        if isinstance(value, bytes) and name.startswith("TAG_"):
            assert solidity == f'"{value.rstrip(bytes(1)).decode()}"', name
        elif isinstance(value, bytes):
            assert int(eval(solidity)) == int.from_bytes(value, "big"), name
        else:
            assert int(eval(solidity)) == value, name


@pytest.mark.parametrize("enum", ["DType", "Kind", "Fold", "Source", "InitKind", "NextKind"])
def test_machine_enums__each__have_the_order_of_the_spec(enum: str) -> None:
    match = re.search(rf"enum {enum} {{([^}}]+)}}", MACHINE)
    assert match is not None
    names = [name.strip() for name in match.group(1).split(",")]
    assert names == [member.name for member in sorted(getattr(types, enum))]


def _set_in(library: str, name: str) -> set[int]:
    source = (CONTRACTS / "libraries" / f"{library}.sol").read_text()
    match = re.search(rf"constant {name} = (0x[0-9A-Fa-f]+);", source)
    assert match is not None, name
    return {n for n in range(256) if int(match.group(1), 16) >> n & 1}


def test_opcode_sets__of_the_reader__follow_from_the_signatures() -> None:
    known = set(Op)
    assert _set_in("ProgramDecoder", "_KNOWN") == known
    for position, name in enumerate(("_WITHOUT_A", "_WITHOUT_B", "_WITHOUT_C")):
        unused = {op for op in known if signature(op)[0][position] == "-"}
        assert _set_in("ProgramDecoder", name) == unused
    without = {op for op in known if not signature(op)[2]}
    assert _set_in("ProgramDecoder", "_WITHOUT_IMM") == without


def test_opcode_sets__of_float_results__follow_from_the_signatures() -> None:
    floats = {op for op in Op if signature(op)[1] == "F"}
    assert _set_in("Microcode", "FLOAT_RESULTS") == floats


def test_opcode_sets__of_legality__follow_from_the_signatures() -> None:
    for position, field in enumerate("ABC"):
        for kind, name in (("I", "INTEGER"), ("F", "FLOAT")):
            wanted = {op for op in Op if signature(op)[0][position] == kind}
            assert _set_in("LegalityCode", f"_{field}_{name}") == wanted
    floats = {op for op in Op if signature(op)[1] == "F"}
    assert _set_in("LegalityCode", "_FLOAT_RESULTS") == floats


def test_costs__each__have_the_value_of_the_spec() -> None:
    source = (CONTRACTS / "libraries" / "Costs.sol").read_text()
    found = dict(re.findall(r"constant (\w+) =\s+([^;]+);", source))
    assert len(found) == 19
    table = b"".join(int(found.pop(f"GAS_OP_{k}"), 16).to_bytes(32, "big") for k in range(3))
    assert {n: 100 * table[n] for n in range(96) if table[n]} == costs.GAS_OP
    for name, solidity in found.items():
        assert int(eval(solidity)) == getattr(costs, name), name


def test_legality_limits__each__have_the_value_of_the_spec() -> None:
    for library in ("LegalityTemplate", "LegalityReferee"):
        folder = CONTRACTS if library == "LegalityReferee" else CONTRACTS / "libraries"
        source = (folder / f"{library}.sol").read_text()
        for name, solidity in re.findall(r"constant (MAX_\w+) = ([^;]+);", source):
            if name == "MAX_TEMPLATE_BYTES":
                assert eval(solidity, {"WORD": constants.WORD}) == MAX_TEMPLATE_BYTES
            else:
                assert int(eval(solidity)) == {**vars(constants), **vars(job)}[name], name


@pytest.mark.parametrize(
    ("path", "enum"),
    [
        ("interfaces/ILegalityReferee.sol", Illegality),
        ("types/LegalityProofs.sol", ProgramClause),
        ("types/LegalityProofs.sol", Listing),
    ],
)
def test_legality_enums__each__have_the_order_of_the_spec(path: str, enum: type[IntEnum]) -> None:
    match = re.search(rf"enum {enum.__name__} {{([^}}]+)}}", (CONTRACTS / path).read_text())
    assert match is not None
    assert [name.strip() for name in match.group(1).split(",")] == [m.name for m in enum]


def test_opcode_table__every_opcode__has_the_function_of_its_name() -> None:
    source = (CONTRACTS / "libraries" / "Microcode.sol").read_text()
    table: dict[int, str] = {}
    for start, row in re.findall(r"_set4\(at, (0x\w+), ([^)]+)\);", source):
        for k, name in enumerate(row.split(",")):
            table[int(start, 16) + k] = name.strip().lstrip("_").upper()
    for op in Op:
        wanted = "SELECT" if op in (Op.SELI, Op.SELF) else op.name
        assert table[op] == wanted, op


def test_instruction_vectors__opcodes__are_all_but_those_with_a_context() -> None:
    context = {op for op in Op if op not in pure_opcodes()}
    loads = {Op.LOAD, Op.LOADX, Op.COORD, Op.RCOORD, Op.INDEX, Op.RINDEX}
    assert context == loads | {Op.STEP, Op.PSTEP, Op.SEED, Op.ACC}
    assert microcode.BINARY_F.keys() <= set(pure_opcodes())
