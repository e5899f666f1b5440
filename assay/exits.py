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
10  the job ended without a result, or a demand without an answer
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
NO_RESULT = 10
INTERRUPTED = 130

BY_NAME: dict[str, int] = {
    # protocol.spec
    "ProgramError": INVALID,
    "TensorMismatch": USAGE,
    "LimitExceeded": USAGE,
    "ProofError": INVALID,
    "MoveRefused": REFUSED,
    "NothingWrong": INVALID,
    "HistoryIncomplete": UNAVAILABLE,
    # protocol.chain
    "ChainError": UNAVAILABLE,
    "ChainConfigError": USAGE,
    "DeploymentMissing": UNKNOWN,
    "NodeUnavailable": UNAVAILABLE,
    "NodeRefused": REFUSED,
    "WrongChain": USAGE,
    "WalletError": USAGE,
    "InsufficientFunds": MONEY,
    "FeeTooHigh": UNAVAILABLE,
    "GasTooHigh": REFUSED,
    "Unprofitable": MONEY,
    "TransactionFailed": REFUSED,
    "TransactionPending": UNAVAILABLE,
    "Interrupted": INTERRUPTED,
    "AbiError": UNKNOWN,
    "CallReverted": REFUSED,
    # refusals by contracts
    "Reverted": REFUSED,
    "TooEarly": NOT_YET,
    "StillUnbonding": NOT_YET,
    "Held": NOT_YET,
    "StakeTooLow": MONEY,
    "DepositTooLow": MONEY,
    "CreditTooLow": MONEY,
    "ERC20InsufficientAllowance": MONEY,
    "ERC20InsufficientBalance": MONEY,
    # protocol.storage
    "StorageError": UNAVAILABLE,
    "StorageConfigError": USAGE,
    "IpfsUnavailable": UNAVAILABLE,
    "IpfsRefused": UNAVAILABLE,
    "ContentMissing": UNAVAILABLE,
    "ContentTooSlow": UNAVAILABLE,
    "ContentMismatch": INVALID,
    "ContentTooLarge": INVALID,
    "MalformedCid": INVALID,
    "MalformedNode": INVALID,
    "MalformedManifest": INVALID,
    "MalformedLocators": INVALID,
    # provider
    "EngineError": USAGE,
    "AgentRunning": USAGE,
    "Unsuitable": REFUSED,
    # keepers
    "Uncertain": NOT_YET,
    "NoGame": UNKNOWN,
    # client
    "CompileError": USAGE,
    "BadModelFile": INVALID,
    "ModelMissing": USAGE,
    "JobError": REFUSED,
    "UnknownJob": UNKNOWN,
    "NotFinished": NOT_YET,
    "NoResult": NO_RESULT,
    "NotAnswered": NO_RESULT,
    "InsufficientAllowance": MONEY,
    "ResultDiffers": WRONG_RESULT,
    # assay
    "BadInput": USAGE,
    "ShortOfMoney": MONEY,
    "UnknownProvider": UNKNOWN,
    "ToolsMissing": USAGE,
}
"""The exit code of an error by its name, or by that of its nearest ancestor here.

Names, not classes: the command line must not import web3 or torch to say that a file is missing.
A test walks the exception tree of every package: nothing there is without a line here.
"""


def code_of(error: AssayError) -> int:
    """The exit code of an expected error: that of its nearest named ancestor (else USAGE)."""
    for kind in type(error).__mro__:
        if kind.__name__ in BY_NAME:
            return BY_NAME[kind.__name__]
    return USAGE


EXPECTED = (
    AssayError,
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
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return USAGE
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        click.echo(f"error: {' '.join(error.format_message().split())}{hint}", err=True)
        return USAGE
    if not isinstance(error, AssayError):
        raise error
    code = code_of(error)
    text = " ".join(str(error).split()) or type(error).__name__
    click.echo("interrupted" if code == INTERRUPTED else f"error: {text}", err=True)
    return code
