"""The kernels are loaded late, tested before use, and done without where they cannot be had."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features

from protocol.hashing import block_root, fast, kernels, roots
from protocol.hashing.kernels import Functions
from protocol.spec import trees

ROOT = Path(__file__).resolve().parents[2]
HOST = get_host_cpu_features()


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
    program = HASH.format(size=100_000) + "import sys; print('llvmlite' in sys.modules, root)"
    assert _python(program) == f"False {_plain_root(100_000)}"


def test_load__llvmlite_absent__hashes_plainly_without_a_warning() -> None:
    program = "import sys; sys.modules['llvmlite'] = None" + HASH.format(size=50_000)
    program = program.replace("\nroot =", "\nfast.LOADER = fast.Loader(0)\nroot =")
    assert _python(program + "print(fast.LOADER.kernel(4096), root)") == (
        f"None {_plain_root(50_000)}"
    )


def test_load__numba_in_the_same_process__disturbs_neither() -> None:
    program = (
        HASH.format(size=6_000_000)
        + "import numba\n"
        + "twice = numba.njit('int64(int64)')(lambda x: 2 * x)\n"
        + "again = block_root(data).hex()\n"
        + "print(twice(21), fast.LOADER.kernel(4096) is not None, again == root, root)"
    )
    assert _python(program) == f"42 True True {_plain_root(6_000_000)}"


@pytest.mark.parametrize(
    ("cpu", "features", "lanes"),
    [("x86-64", "+sse2", 4), ("haswell", "+avx,+avx2", 4), ("x86-64-v4", "+avx512f", 8)],
    ids=["sse2", "avx2", "avx512"],
)
def test_functions__other_processor__give_the_same_bits(
    cpu: str, features: str, lanes: int
) -> None:
    if not all(HOST.get(name.removeprefix("+")) for name in features.split(",")):
        pytest.skip(f"this processor lacks some of {features}")
    kernel = fast.Kernel(Functions(cpu, features))
    assert kernel.lanes == lanes
    assert fast.passes(kernel)


@pytest.mark.parametrize("blocks", [1, 3, 7, 8, 9, 16, 29])
def test_kernel__any_count__writes_nothing_but_its_nodes(
    blocks: int, compiled: fast.Kernel
) -> None:
    data = np.random.default_rng(blocks).integers(0, 256, blocks * 512 - 5, np.uint8)
    data.flags.writeable = False
    memory = np.full((blocks + 40, 32), 0xA5, np.uint8)
    compiled.leaves(data, memory[20 : 20 + blocks])
    assert (memory[:20] == 0xA5).all()
    assert (memory[20 + blocks :] == 0xA5).all()
    assert memory[20 : 20 + blocks].tobytes() == b"".join(trees.block_leaves(data.data))


def test_leaves__rows_that_do_not_fit__are_refused(compiled: fast.Kernel) -> None:
    data = np.zeros(1024, np.uint8)
    for rows in (0, 1, 3):
        with pytest.raises(ValueError, match=f"got {rows} rows for the leaves of 1024 bytes"):
            compiled.leaves(data, np.empty((rows, 32), np.uint8))


@pytest.mark.parametrize("fault", ["hash_blocks", "hash_pairs"])
def test_load__kernel_that_lies__warns_and_hashes_plainly(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    functions = Functions()
    honest = getattr(functions, fault)

    def lying(source: int, target: int, groups: int) -> None:
        honest(source, target, groups)
        ctypes.c_uint8.from_address(target + 31).value ^= 1

    monkeypatch.setattr(functions, fault, lying)
    monkeypatch.setattr(kernels, "Functions", lambda: functions)
    with pytest.warns(RuntimeWarning, match="wrong digest in their self-test"):
        assert fast.load() is None
    monkeypatch.setattr(fast, "LOADER", fast.Loader(worth=0))
    data = bytes(range(256)) * 100
    with pytest.warns(RuntimeWarning, match="hashing goes on without them"):
        assert block_root(data) == trees.block_root(data)


def test_load__compiler_that_fails__warns_and_hashes_plainly(
    monkeypatch: pytest.MonkeyPatch,
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


def test_chunk__of_roots__is_a_full_subtree() -> None:
    assert roots.CHUNK == 512 * 2**roots.CHUNK_LEVELS
