"""What can go wrong between a module and its program."""

from __future__ import annotations

from protocol.spec.errors import AssayError


class CompileError(AssayError):
    """A module cannot be compiled; the message names the place in the user's source."""


class UnsupportedOperator(CompileError):
    """An operator, or a use of one, that the compiler has no lowering for."""


class BadModelFile(AssayError):
    """A compiled model's file is truncated, altered or of another version."""
