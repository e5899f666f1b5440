"""Float32.sol against Berkeley SoftFloat: the real library, run by the EVM, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from eth_abi import decode, encode

from protocol.spec import trees
from scripts import tools
from tests.differential.code_calls import Caller, built, caller
from tests.differential.float_rows import ROW, FloatOp, rows
from tests.spec.float_cases import PAIRS

pytestmark = pytest.mark.chain

CHECK: Final = trees.keccak256(b"check(uint8,bytes)")[:4]
AT_A_TIME: Final = 50_000
GAS: Final = 10**12


@pytest.fixture(scope="module")
def node() -> Iterator[Caller]:
    with caller() as node:
        yield node


@pytest.fixture(scope="module")
def rows_at(node: Caller) -> str:
    return node.lay(built(tools.ROOT, "test/FloatRows")["FloatRows"])


def compare(node: Caller, rows_at: str, op: FloatOp, seed: int, random: int) -> int:
    """Number of rows that were compared; all are equal."""
    total = 0
    for part in rows(op, seed, random, AT_A_TIME):
        answer = node.call(rows_at, CHECK + encode(["uint8", "bytes"], [int(op), part]), GAS)
        assert answer.ok, answer
        row, got = decode(["uint256", "uint256"], answer.data)
        wrong = part[ROW * row : ROW * row + ROW].hex()
        assert row * ROW == len(part), f"{op.name}: of {wrong} Solidity makes {got:x}"
        total += row
    return total


@pytest.mark.parametrize("op", FloatOp)
def test_float32__special_pairs_and_random__is_softfloat(
    node: Caller, rows_at: str, op: FloatOp
) -> None:
    assert compare(node, rows_at, op, 100 + op, 24_000) >= 24_000


@pytest.mark.long
@pytest.mark.parametrize("op", FloatOp)
def test_float32__a_million_cases__is_softfloat(node: Caller, rows_at: str, op: FloatOp) -> None:
    assert compare(node, rows_at, op, 200 + op, 1_000_000) >= 1_000_000


def test_rows__one_bit_of_a_result_flipped__is_found(node: Caller, rows_at: str) -> None:
    part = bytearray(next(rows(FloatOp.MUL, 1, 0, AT_A_TIME)))
    assert len(part) == ROW * len(PAIRS)
    part[ROW * 7000 + 11] ^= 1
    data = encode(["uint8", "bytes"], [int(FloatOp.MUL), bytes(part)])
    row, _ = decode(["uint256", "uint256"], node.call(rows_at, CHECK + data, GAS).data)
    assert row == 7000
