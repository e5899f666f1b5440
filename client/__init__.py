"""Imports a model, compiles it to a program, submits, follows and fetches jobs.

    import client
    compiled = client.compile(module, (example,), precision="i16")

``client.compile`` needs PyTorch; it is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.build import compile as compile
    from client.compiled import Compiled as Compiled

__all__ = ["Compiled", "compile"]


def __getattr__(name: str) -> Any:
    if name == "compile":
        from client.build import compile as compile_

        return compile_
    if name == "Compiled":
        from client.compiled import Compiled as Compiled_

        return Compiled_
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
