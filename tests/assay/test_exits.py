"""Every error that can reach a user has an exit code of its own choosing, and one line."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import click
import pytest

from assay import exits
from client.job_errors import InsufficientTokens, NoResult, NotFinished, ResultDiffers, UnknownJob
from protocol.chain.errors import (
    ChainConfigError,
    DeploymentMissing,
    InsufficientFunds,
    Interrupted,
    NodeUnavailable,
    WrongChain,
)
from protocol.chain.reverts import ERC20InsufficientAllowance, NotClient, TooEarly
from protocol.spec.errors import AssayError, DecodeError, IllegalProgram, TensorMismatch
from protocol.storage.errors import ContentMismatch, ContentMissing, IpfsUnavailable

PACKAGES = ("protocol", "client", "provider", "keepers", "assay")


def _everything() -> set[type[AssayError]]:
    """Every error class of the product, once all its modules are imported."""
    for package in PACKAGES:
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, package + "."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)

    def below(kind: type[AssayError]) -> Iterator[type[AssayError]]:
        for child in kind.__subclasses__():
            if child.__module__.startswith(PACKAGES):
                yield child
                yield from below(child)

    return set(below(AssayError))


def test_code_of__every_error_of_the_product__has_a_line_in_the_table() -> None:
    missing = [
        f"{kind.__module__}.{kind.__name__}"
        for kind in _everything()
        if not any(base.__name__ in exits.BY_NAME for base in kind.__mro__)
    ]
    assert not missing, f"no exit code for {sorted(missing)}: add them to assay/exits.py"


def test_by_name__every_line__names_an_error_that_exists() -> None:
    names = {kind.__name__ for kind in _everything()}
    assert set(exits.BY_NAME) <= names, sorted(set(exits.BY_NAME) - names)


def test_by_name__two_errors__never_share_a_name() -> None:
    kinds = sorted(_everything(), key=lambda kind: kind.__name__)
    named = [kind for kind in kinds if kind.__name__ in exits.BY_NAME]
    names = [kind.__name__ for kind in named]
    assert len(names) == len(set(names)), named


@pytest.mark.parametrize(
    "error, code",
    [
        (TensorMismatch("x"), exits.USAGE),
        (DecodeError("x"), exits.INVALID),
        (IllegalProgram("T1", "x"), exits.INVALID),
        (ContentMismatch("x"), exits.INVALID),
        (UnknownJob("x"), exits.UNKNOWN),
        (DeploymentMissing("x"), exits.UNKNOWN),
        (NotFinished("x"), exits.NOT_YET),
        (TooEarly("finalize", {}), exits.NOT_YET),
        (NodeUnavailable("x"), exits.UNAVAILABLE),
        (IpfsUnavailable("x"), exits.UNAVAILABLE),
        (ContentMissing("x"), exits.UNAVAILABLE),
        (InsufficientFunds("x"), exits.MONEY),
        (InsufficientTokens("x"), exits.MONEY),
        (ERC20InsufficientAllowance("post", {}), exits.MONEY),
        (NotClient("cancel", {}), exits.REFUSED),
        (ResultDiffers("x", 0, 0, "", ""), exits.WRONG_RESULT),
        (NoResult("x"), exits.NO_RESULT),
        (ChainConfigError("x"), exits.USAGE),
        (WrongChain("x"), exits.USAGE),
        (Interrupted("x"), exits.INTERRUPTED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_code_of__an_error__is_what_a_script_expects(error: AssayError, code: int) -> None:
    assert exits.code_of(error) == code


def test_report__an_error_of_several_lines__is_told_in_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exits.report(NodeUnavailable("no\n  node\n")) == exits.UNAVAILABLE
    assert capsys.readouterr() == ("", "error: no node\n")


def test_report__an_error_without_words__is_told_by_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exits.report(UnknownJob()) == exits.UNKNOWN
    assert capsys.readouterr().err == "error: UnknownJob\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort(), Interrupted("x")])
def test_report__an_interrupt__is_130(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exits.report(error) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_report__a_defect__is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        exits.report(ZeroDivisionError())


def test_docstring__every_code__is_described() -> None:
    codes = {value for name, value in vars(exits).items() if name.isupper() and type(value) is int}
    assert exits.__doc__ is not None
    described = {line.split()[0] for line in exits.__doc__.splitlines() if line[:3].strip()}
    assert {str(code) for code in codes} <= described
