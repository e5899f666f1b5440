"""What can be wrong with a job that a client asks for."""

from __future__ import annotations

from protocol.chain.errors import InsufficientFunds
from protocol.spec.errors import AssayError


class JobError(AssayError):
    """A job cannot be posted, found, read or verified."""


class UnknownJob(JobError):
    """No job of this hash was posted to this market."""


class NotFinished(JobError):
    """The job has no result yet."""


class NoResult(JobError):
    """The job ended without a result."""


class NotOpen(JobError):
    """Only an open job can be cancelled."""


class CannotDemand(JobError):
    """What is demanded cannot be: the window is over, or there is no such place."""


class NotAnswered(JobError):
    """A demand's clock ran out, or its claim ended, without an answer."""


class InsufficientTokens(InsufficientFunds):
    """The wallet has fewer tokens than the price."""


class InsufficientAllowance(JobError):
    """The market may not take the price from the wallet."""


class ResultDiffers(JobError):
    """A committed result is not what the program computes.

    ``output`` and ``index`` (row-major) are of the first element whose bits differ; ``got`` and
    ``wanted`` are its bytes in hex, little-endian, as committed and as computed.
    """

    def __init__(self, message: str, output: int, index: int, got: str, wanted: str) -> None:
        super().__init__(message)
        self.output, self.index, self.got, self.wanted = output, index, got, wanted
