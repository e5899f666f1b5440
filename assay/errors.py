"""What only the command line finds out."""

from __future__ import annotations

from protocol.spec.errors import AssayError


class BadInput(AssayError):
    """A file or an option that cannot be used as it is."""


class ShortOfMoney(AssayError):
    """The wallet has less than what was asked of it."""


class UnknownProvider(AssayError):
    """No provider of that address is registered."""


class ToolsMissing(AssayError):
    """A part that this command needs is not installed."""
