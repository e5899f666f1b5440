"""Exit codes that scripts can use, and the one place where an error becomes a line and a code.

==  ==================================================================
 0  done
 1  a defect of Assay: Python's traceback says where; please report it
 2  bad usage or bad input (wrong file, dtype, shape, option)
 3  the program is illegal, or the data is not what was committed
 4  no such job, provider or file of contracts
 5  not yet: the job is not that far, or a clock still runs
 6  a node does not answer (chain or IPFS): try again later
 7  money: funds, allowance, stake or credit are short
 8  the contracts refused
 9  the result is wrong: a verification found a difference
130  interrupted
==  ==================================================================
"""

from __future__ import annotations

import click

from protocol.spec.errors import AssayError

OK = 0
DEFECT = 1
USAGE = 2
INVALID = 3
UNKNOWN = 4
NOT_YET = 5
UNAVAILABLE = 6
MONEY = 7
REFUSED = 8
WRONG_RESULT = 9
INTERRUPTED = 130

BY_NAME: dict[str, int] = {
    # class name anywhere in the error's ancestry, most telling first
    "ResultDiffers": WRONG_RESULT,
    "UnknownJob": UNKNOWN,
    "DeploymentMissing": UNKNOWN,
    "NotFinished": NOT_YET,
    "TooEarly": NOT_YET,
    "StillUnbonding": NOT_YET,
    "Held": NOT_YET,
    "InsufficientFunds": MONEY,
    "InsufficientAllowance": MONEY,
    "ERC20InsufficientBalance": MONEY,
    "ERC20InsufficientAllowance": MONEY,
    "CreditTooLow": MONEY,
    "StakeTooLow": MONEY,
    "DepositTooLow": MONEY,
    "NodeUnavailable": UNAVAILABLE,
    "IpfsUnavailable": UNAVAILABLE,
    "ContentMissing": UNAVAILABLE,
    "ContentTooSlow": UNAVAILABLE,
    "TransactionPending": UNAVAILABLE,
    "Refusal": REFUSED,
    "ContentMismatch": INVALID,
    "ProgramError": INVALID,
    "MalformedManifest": INVALID,
    "MalformedLocators": INVALID,
}
"""Which code an error of which name gets; any other AssayError is USAGE.

Names, not classes: the command line must not import web3 or torch to say that a file is missing.
"""


def code_of(error: AssayError) -> int:
    """The exit code of an expected error: that of its nearest named ancestor."""
    for kind in type(error).__mro__:
        if kind.__name__ in BY_NAME:
            return BY_NAME[kind.__name__]
    return USAGE


EXPECTED = (
    AssayError,
    BrokenPipeError,
    KeyboardInterrupt,
    click.ClickException,
    click.exceptions.Abort,
    click.exceptions.Exit,
)
"""Everything that is no defect."""


def report(error: BaseException) -> int:
    """Print what went wrong to stderr and give the exit code."""
    if isinstance(error, click.exceptions.Exit):
        return int(error.exit_code)
    if isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        error.show()
        return USAGE
    if isinstance(error, AssayError):
        text = " ".join(str(error).split())
        click.echo(f"error: {text or type(error).__name__}", err=True)
        return code_of(error)
    return OK  # a closed pipe: whoever read has what it wanted
