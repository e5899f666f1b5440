"""What is declared, what is pinned and what may be imported are the same packages."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import check_imports, tools


def _declared() -> dict[str, Requirement]:
    project = tomllib.loads((tools.ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        lines += extra
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def _pinned() -> dict[str, str]:
    lines = (tools.ROOT / "constraints.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pin) == 2 for pin in pins)
    return {canonicalize_name(name): version for name, version in pins}


def test_constraints__every_requirement__is_pinned_within_its_range() -> None:
    pinned = _pinned()
    assert len(pinned) > 100
    for name, requirement in _declared().items():
        assert requirement.specifier.contains(pinned[name]), requirement


def test_constraints__torch__names_no_build() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", _pinned()["torch"])


def test_third_party__every_importable_package__is_declared() -> None:
    owners = packages_distributions()
    declared = _declared()
    # torch brings Triton where there is CUDA.
    for module in set(check_imports.THIRD_PARTY) - {"triton"}:
        names = {canonicalize_name(name) for name in owners[module]}
        assert names & declared.keys(), f"{module} of {names} is not in pyproject.toml"
