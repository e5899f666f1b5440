"""Compiles a module, runs its program with the plain interpreter, compares with PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from client.build import compile as compile_module
from client.compiled import Compiled
from protocol.spec import interpreter, legality
from protocol.spec.types import Array


class Fn(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Tensor) -> Any:
        return self.function(*args)


def run(compiled: Compiled, *args: Tensor) -> list[Array]:
    """The program's outputs, by the plain interpreter."""
    return compiled.unbind(
        interpreter.run(compiled.program, compiled.constants, compiled.bind(*args))
    )


def check(
    module: nn.Module | Callable[..., Any],
    *args: Tensor,
    atol: float = 0.0,
    rtol: float = 0.0,
    precision: str = "i16",
) -> Compiled:
    """Compile, check legality, run, and compare every output with PyTorch's."""
    whole = module if isinstance(module, nn.Module) else Fn(module)
    whole.eval()
    compiled = compile_module(whole, args, precision)
    legality.check(compiled.program)
    assert len(compiled.sources) == sum(len(p.instances) for p in compiled.program.phases)
    with torch.no_grad():
        wanted = whole(*args)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    got: list[Any] = list(run(compiled, *args))
    assert len(got) == len(wanted)
    for mine, theirs in zip(got, wanted, strict=True):
        reference: Any = theirs.numpy()
        assert mine.dtype == reference.dtype
        assert mine.shape == reference.shape
        np.testing.assert_allclose(mine, reference, rtol=rtol, atol=atol, equal_nan=True)
    return compiled


def kinds(compiled: Compiled) -> list[str]:
    """Kinds of the operations, in order."""
    templates = compiled.program.templates
    return [templates[i.template].kind.name for i in compiled.program.phases[0].instances]
