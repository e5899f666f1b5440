"""The one exception tree of Assay.

Every message says what was got, what was wanted and what to do.  Packages add
their own leaves below these branches; nothing raises a bare ``Exception``.
"""

from __future__ import annotations


class AssayError(Exception):
    """Root of every error that Assay raises on purpose."""


class ProgramError(AssayError):
    """A program cannot be used."""


class DecodeError(ProgramError):
    """Bytes are not the canonical encoding of a program (or of a part of one)."""


class IllegalProgram(ProgramError):
    """A program decodes but breaks a clause of ``legal``.

    ``clause`` is the identifier of the clause (see ``protocol.spec.legality``).
    """

    def __init__(self, clause: str, message: str) -> None:
        super().__init__(f"illegal program, clause {clause}: {message}")
        self.clause = clause


class TensorMismatch(AssayError):
    """A tensor handed to a program has the wrong dtype, shape or contents."""


class LimitExceeded(AssayError):
    """A value is beyond a limit of the machine."""


class ProofError(AssayError):
    """A proof into a tree has not the form that position and size demand."""


class MoveRefused(AssayError):
    """A move of a dispute breaks a rule; ``name`` is the contract's error."""

    def __init__(self, name: str, message: str = "") -> None:
        super().__init__(f"{name}: {message}" if message else name)
        self.name = name
