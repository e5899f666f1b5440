"""The kernels are loaded late, tested before use, and done without where they cannot be had."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features

from protocol.hashing import block_root, fast, roots
from protocol.spec import trees

ROOT = Path(__file__).resolve().parents[2]


def _python(program: str, **environment: str) -> str:
    """Standard output of a program in a fresh interpreter in which every warning is an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env={"PATH": "", "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


HASH = """
import numpy as np
from protocol.hashing import block_root, fast
data = (np.arange({size}) % 253).astype(np.uint8)
root = block_root(data).hex()
"""


def _plain_root(size: int) -> str:
    return trees.block_root((np.arange(size) % 253).astype(np.uint8).data).hex()


def test_kernel__until_enough_was_hashed__is_not_loaded(
    compiled: fast.Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []

    def load() -> fast.Kernel:
        loads.append(1)
        return compiled

    monkeypatch.setattr(fast, "load", load)
    loader = fast.Loader(worth=10_000)
    assert loader.kernel(4_000) is None
    assert loader.kernel(5_999) is None
    assert loads == []
    assert loader.kernel(2_000) is compiled
    assert loader.kernel(2_000) is compiled
    assert loader.kernel(fast.WORTH_A_CALL - 1) is None
    assert loads == [1]


def test_kernel__first_asked_by_many_threads__is_loaded_once(
    compiled: fast.Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []

    def load() -> fast.Kernel:
        loads.append(1)
        return compiled

    monkeypatch.setattr(fast, "load", load)
    loader = fast.Loader(worth=2_000)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(loader.kernel, [4_000] * 32))
    assert got == [compiled] * 32
    assert loads == [1]


def test_import__small_hashes__leave_the_compiler_alone() -> None:
    program = HASH.format(size=100_000) + "import sys; print('numba' in sys.modules, root)"
    assert _python(program) == f"False {_plain_root(100_000)}"


def test_load__numba_absent__hashes_plainly_without_a_warning() -> None:
    program = "import sys; sys.modules['numba'] = None" + HASH.format(size=50_000)
    program = program.replace("\nroot =", "\nfast.LOADER = fast.Loader(0)\nroot =")
    assert _python(program + "print(fast.LOADER.kernel(4096), root)") == (
        f"None {_plain_root(50_000)}"
    )


HOST = get_host_cpu_features()


@pytest.mark.parametrize(
    ("cpu", "features", "lanes"),
    [("x86-64", "+sse2", 4), ("haswell", "+avx,+avx2", 4)],
    ids=["sse2", "avx2"],
)
@pytest.mark.skipif(not HOST.get("avx2"), reason="this processor has no AVX2")
def test_load__processor_without_wide_registers__gives_the_same_bits(
    cpu: str, features: str, lanes: int, tmp_path: Path
) -> None:
    program = HASH.format(size=50_001).replace("\nroot =", "\nfast.LOADER = fast.Loader(0)\nroot =")
    shown = _python(
        program + "print(fast.LOADER.kernel(4096).lanes, root)",
        NUMBA_CPU_NAME=cpu,
        NUMBA_CPU_FEATURES=features,
        NUMBA_CACHE_DIR=str(tmp_path),
    )
    assert shown == f"{lanes} {_plain_root(50_001)}"
    assert list(tmp_path.rglob("kernels.leaves*.nbi"))


def test_load__nowhere_to_keep_what_is_compiled__compiles_for_the_process() -> None:
    program = (
        "from numba.core.caching import FunctionCache\n"
        "FunctionCache._impl_class._locator_classes = []\n"
        + HASH.format(size=50_000).replace("\nroot =", "\nfast.LOADER = fast.Loader(0)\nroot =")
        + "print(fast.LOADER.kernel(4096) is not None, root)"
    )
    assert _python(program) == f"True {_plain_root(50_000)}"


@pytest.mark.parametrize("blocks", [1, 3, 7, 8, 9, 16, 29])
def test_kernel__any_count__writes_nothing_but_its_nodes(
    blocks: int, compiled: fast.Kernel
) -> None:
    data = np.random.default_rng(blocks).integers(0, 256, blocks * 512 - 5, np.uint8)
    data.flags.writeable = False
    rows = fast.rows_of(blocks)
    memory = np.full((rows + 40, 32), 0xA5, np.uint8)
    compiled.leaves(data, memory[20 : 20 + blocks])
    assert (memory[20 + blocks :] == 0xA5).all()
    compiled.levels(memory[20 : 20 + rows], blocks)
    assert (memory[:20] == 0xA5).all()
    assert (memory[20 + rows :] == 0xA5).all()
    assert memory[19 + rows].tobytes() == trees.block_root(data.data)


@pytest.mark.parametrize("fault", ["leaves", "levels"])
def test_load__kernel_that_lies__warns_and_hashes_plainly(
    fault: str, compiled: fast.Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = getattr(fast.Kernel, fault)

    def lying(kernel: fast.Kernel, first: fast.Bytes, second: fast.Bytes | int) -> None:
        honest(kernel, first, second)
        written = second if isinstance(second, np.ndarray) else first
        written[-1, 31] ^= 1

    monkeypatch.setattr(fast.Kernel, fault, lying)
    with pytest.warns(RuntimeWarning, match="wrong digest in their self-test"):
        assert fast.load() is None
    monkeypatch.setattr(fast, "LOADER", fast.Loader(worth=0))
    data = bytes(range(256)) * 100
    with pytest.warns(RuntimeWarning, match="hashing goes on without them"):
        assert block_root(data) == trees.block_root(data)


def test_load__compiler_that_fails__warns_and_hashes_plainly(
    compiled: fast.Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(kernel: fast.Kernel) -> bool:
        raise RuntimeError("no target machine")

    monkeypatch.setattr(fast, "passes", failing)
    with pytest.warns(RuntimeWarning, match=r"could not be compiled \(RuntimeError: no target"):
        assert fast.load() is None


def test_passes__pinned_vector__has_the_root_of_the_specification() -> None:
    k = np.arange(fast.PINNED_BYTES)
    data = ((k * k + k // 7) % 251).astype(np.uint8)
    assert trees.block_root(data.data).hex() == fast.PINNED_ROOT


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 1000])
def test_rows_of__a_tree__counts_its_nodes(count: int) -> None:
    leaves = [bytes([k % 256]) * 32 for k in range(count)]
    wanted = sum(map(len, trees.levels_of(leaves)))
    assert fast.rows_of(count) == wanted - (count == 0)  # an empty tree is one ZERO, not hashed


def test_chunk__of_roots__is_a_full_subtree() -> None:
    assert roots.CHUNK == 512 * 2**roots.CHUNK_LEVELS
