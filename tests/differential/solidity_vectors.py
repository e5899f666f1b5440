"""Writes the vectors that the forge tests read: ``python -m tests.differential.solidity_vectors``.

``test_program_solidity.py`` keeps the files in step with the spec.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.differential.cost_vectors import cost_vectors
from tests.differential.element_vectors import fold_vectors, map_vectors, view_vectors
from tests.differential.instruction_vectors import instruction_vectors, pure_opcodes
from tests.differential.legality_vectors import legality_vectors
from tests.differential.program_vectors import decoder_vectors, tree_vectors
from tests.differential.typical_vectors import gas_vectors

FOLDER = Path(__file__).parents[1] / "vectors" / "solidity"

FILES: dict[str, Callable[[], dict[str, object]]] = {
    "decoder.json": decoder_vectors,
    "trees.json": tree_vectors,
    "views.json": view_vectors,
    "map.json": map_vectors,
    "folds.json": fold_vectors,
    "gas.json": gas_vectors,
    "legality.json": legality_vectors,
    "costs.json": cost_vectors,
    "opcodes.json": lambda: {"names": [op.name for op in pure_opcodes()]},
    **{f"opcodes/{op.name}.json": partial(instruction_vectors, op) for op in pure_opcodes()},
}


def text(name: str) -> str:
    """The contents of one file."""
    return json.dumps(FILES[name](), indent=0) + "\n"


def main() -> None:
    (FOLDER / "opcodes").mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (FOLDER / name).write_text(text(name))
        print(f"{FOLDER / name}: {(FOLDER / name).stat().st_size} bytes")


if __name__ == "__main__":
    main()
