"""Writes the contracts' interfaces for Python: protocol/chain/abi/*.json, compact.

``python -m scripts.export_abi`` rewrites them from the Solidity sources; with ``--check`` it only
says whether they are current (exit 1 if not), as a test does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Final

from protocol.chain.abi import ABI, CONTRACTS
from protocol.spec.errors import AssayError
from scripts import tools

SOURCES: Final = {name: f"contracts/{name}.sol" for name in CONTRACTS}
LIBRARY: Final = "@openzeppelin/contracts"


class ExportFailed(AssayError):
    """The compiler refuses the sources."""


def _compile() -> dict[str, list[dict[str, Any]]]:
    """ABIs by contract name; nothing but interfaces is compiled, so it takes a few seconds."""
    texts = {path: {"content": (tools.ROOT / path).read_text()} for path in SOURCES.values()}
    request = {
        "language": "Solidity",
        "sources": texts,
        "settings": {
            "remappings": [f"{LIBRARY}={tools.openzeppelin()}"],
            "outputSelection": {"*": {"*": ["abi"]}},
        },
    }
    answer = subprocess.run(
        [tools.solc(), "--standard-json"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        cwd=tools.ROOT,
    )
    output = json.loads(answer.stdout)
    errors = [e["formattedMessage"] for e in output.get("errors", []) if e["severity"] == "error"]
    if errors:
        raise ExportFailed("the contracts do not compile: " + "".join(errors))
    return {name: output["contracts"][path][name]["abi"] for name, path in SOURCES.items()}


def _plain(item: Any) -> Any:
    """An entry without what only compilers read (internalType, names of the language)."""
    if isinstance(item, dict):
        return {key: _plain(value) for key, value in item.items() if key != "internalType"}
    return [_plain(value) for value in item] if isinstance(item, list) else item


def rendered() -> dict[str, str]:
    """File name -> text: one entry a line, sorted, so that changes read well."""
    files = {}
    for name, abi in _compile().items():
        entries = [_plain(entry) for entry in abi if entry["type"] != "constructor"]
        entries.sort(key=lambda e: (e["type"], e.get("name", ""), len(e.get("inputs", []))))
        lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
        files[f"{name}.json"] = f"[\n{lines}\n]\n"
    return files


def stale() -> list[str]:
    """Names of the files that differ from what the sources give."""
    return [
        name
        for name, text in rendered().items()
        if not (ABI / name).is_file() or (ABI / name).read_text() != text
    ]


def main() -> int:
    """Writes the files, or with ``--check`` compares them."""
    if "--check" in sys.argv[1:]:
        found = stale()
        for name in found:
            print(f"{ABI / name} is not what the sources give: run python -m scripts.export_abi")
        return 1 if found else 0
    for name, text in rendered().items():
        (ABI / name).write_text(text)
        print(f"wrote {ABI / name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
