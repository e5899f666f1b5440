"""A kernel that differs from the specification is replaced, named, and no bit changes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from protocol.spec.examples import all_examples
from protocol.spec.microcode import Op
from provider.engine import Engine, KernelWarning, engine, kernels, selftest
from provider.engine.arena import Arena
from provider.engine.pool import Pool
from scripts.config import child_environment
from tests.engine.support import compare
from tests.engine.test_dot import PRECISIONS, dot_program

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


@pytest.fixture
def fresh_workers() -> Iterator[None]:
    """Self-tests run again in this test, and again after it."""
    engine.workers.cache_clear()
    yield
    engine.workers.cache_clear()


def test_kernels_for__this_machine__float_and_integer_kernels_pass() -> None:
    found = selftest.kernels_for(CPU, Pool(2, CPU)).disabled
    assert set(found) <= {"INT_MM", "INT_MM_FULL"}


def _flushing(arena: Arena, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """A multiplication that flushes subnormal results to zero."""
    out = a * b
    return out.masked_fill_(out.abs() < 2.0**-126, 0.0)


def _reciprocal(arena: Arena, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """A division by way of the reciprocal: two roundings."""
    return a * (1.0 / b)


def _shift_unmasked(arena: Arena, a: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
    """A shift that does not take its amount mod 64."""
    return torch.bitwise_left_shift(a, n)


@pytest.mark.parametrize(
    "op, broken",
    [(Op.FMUL, _flushing), (Op.FDIV, _reciprocal), (Op.SHL, _shift_unmasked),
     (Op.FMAX, lambda arena, a, b: torch.maximum(b, a)),
     (Op.FSQRT, lambda arena, a: torch.rsqrt(a).reciprocal())],
)  # fmt: skip
def test_engine__broken_kernel__is_named_and_replaced(
    op: Op, broken: kernels.Kernel, monkeypatch: pytest.MonkeyPatch, fresh_workers: None
) -> None:
    monkeypatch.setitem(kernels.FAST, op, broken)
    examples = {e.name: e for e in all_examples()}
    for name in ("mlp", "folds"):
        example = examples[name]
        with pytest.warns(KernelWarning, match=rf"failed their self-test on cpu \(.*{op.name}: "):
            made = Engine(example.program, example.constants, threads=1)
        assert set(made.kernels.disabled) >= {op.name}
        compare(example.program, example.constants, example.inputs, engine=made)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_engine__int8_product_wrong_beyond_64__narrow_limbs_same_bits(
    precision: str, monkeypatch: pytest.MonkeyPatch, fresh_workers: None
) -> None:
    """What AVX2 without VNNI does: pairs of products saturate to 16 bits."""
    real = selftest.check_int_mm
    monkeypatch.setattr(
        selftest, "check_int_mm",
        lambda arena, low, high: (low, high) == (-64, 63) and real(arena, low, high),
    )  # fmt: skip
    program, constants, inputs = dot_program(PRECISIONS[precision])
    with pytest.warns(KernelWarning, match="INT_MM_FULL"):
        made = Engine(program, constants, threads=1)
    compare(program, constants, inputs, engine=made)


def test_engine__no_exact_product_at_all__int64_same_bits(
    monkeypatch: pytest.MonkeyPatch, fresh_workers: None
) -> None:
    monkeypatch.setattr(selftest, "check_int_mm", lambda arena, low, high: False)
    monkeypatch.setattr(selftest, "check_f64_matmul", lambda arena: False)
    program, constants, inputs = dot_program(PRECISIONS["i16"])
    with pytest.warns(KernelWarning, match="F64_MATMUL"):
        made = Engine(program, constants, threads=1)
    compare(program, constants, inputs, engine=made)


_HELD = """
import warnings
import torch
from tests.engine.support import compare
from tests.engine.test_dot import PRECISIONS, dot_program
from provider.engine import Engine, KernelWarning

a = torch.full((33, 64), 127, dtype=torch.int8)
b = torch.full((64, 32), 127, dtype=torch.int8)
print("wrong product:", bool((torch._int_mm(a, b) != 127 * 127 * 64).any()))
warnings.simplefilter("ignore", KernelWarning)
for precision in PRECISIONS.values():
    program, constants, inputs = dot_program(precision)
    engine = Engine(program, constants, threads=1)
    compare(program, constants, inputs, engine=engine)
print("disabled:", sorted(engine.kernels.disabled))
"""


def test_engine__onednn_held_to_avx2__falls_back_with_equal_bits() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HELD], cwd=ROOT, capture_output=True, text=True, timeout=240,
        env=child_environment({"ONEDNN_MAX_CPU_ISA": "AVX2"}), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if "wrong product: True" in done.stdout:
        assert "INT_MM_FULL" in done.stdout
