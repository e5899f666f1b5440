"""The cache: whole files or none, corruption found, bound kept, processes beside each other."""

from __future__ import annotations

import errno
import hashlib
import logging
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from protocol.storage.cache import Cache, Entry, meta_path
from protocol.storage.errors import ContentMismatch, StorageError


def root_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def check(path: Path) -> None:
    if root_of(path.read_bytes()).hex() != path.name:
        raise ContentMismatch("other bytes than its root says")


def keep(cache: Cache, data: bytes) -> Path:
    return cache.obtain("tensor", root_of(data), lambda entry: entry.write(data))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 1_000_000)


def test_obtain__second_time__does_not_fetch(cache: Cache) -> None:
    path = keep(cache, b"tensor")

    def refuse(entry: Entry) -> None:
        raise AssertionError("fetched again")

    assert cache.obtain("tensor", root_of(b"tensor"), refuse) == path
    assert path.read_bytes() == b"tensor"
    assert cache.find("program", root_of(b"tensor")) is None


def test_obtain__fetch_fails__leaves_nothing(cache: Cache) -> None:
    def fail(entry: Entry) -> None:
        entry.write(b"half of it")
        raise ContentMismatch("wrong")

    with pytest.raises(ContentMismatch):
        cache.obtain("tensor", bytes(32), fail)
    assert cache.find("tensor", bytes(32)) is None
    assert not [
        path for path in cache.directory.rglob("*") if path.is_file() and path.stat().st_size
    ]


def test_obtain__disk_full__is_one_clear_error(cache: Cache) -> None:
    def fill(entry: Entry) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StorageError, match="No space left"):
        cache.obtain("tensor", bytes(32), fill)


def test_obtain__disk_full_at_the_record__is_the_same_error_and_leaves_nothing(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(path: Path) -> dict[str, int]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("protocol.storage.cache.fingerprint", fill)
        with pytest.raises(StorageError, match=r"No space left .*ASSAY_CACHE"):
            keep(cache, b"tensor")
    assert [path for path in cache.directory.rglob("*") if path.is_file()] == [
        *(cache.directory / "locks").iterdir()
    ]
    assert keep(cache, b"tensor").read_bytes() == b"tensor"


def test_entry__reset__forgets_what_was_written(cache: Cache) -> None:
    def twice(entry: Entry) -> None:
        entry.write(b"wrong and longer")
        entry.reset()
        entry.write(b"right")

    assert cache.obtain("tensor", bytes(32), twice).read_bytes() == b"right"


@pytest.mark.parametrize("damage", ["truncate", "head", "record", "no bytes"])
def test_find__damaged_entry__is_removed_and_fetched_again(
    cache: Cache, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = bytes(200_000)
    path = keep(cache, data)
    if damage == "truncate":
        os.truncate(path, 1000)
    elif damage == "head":
        with path.open("r+b") as file:
            file.write(b"\1")
    elif damage == "record":
        meta_path(path).write_text("{")
    else:
        path.unlink()
    with caplog.at_level(logging.WARNING):
        assert cache.find("tensor", root_of(data)) is None
    assert ("corrupt" in caplog.text) == (damage != "no bytes")
    assert keep(cache, data).read_bytes() == data


def test_find__rot_that_keeps_length_and_time__is_found_by_the_full_check(cache: Cache) -> None:
    data = bytes(300_000)
    path = keep(cache, data)
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(150_000)
        file.write(b"\1")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cache.find("tensor", root_of(data)) == path  # the cheap check cannot see it
    assert cache.find("tensor", root_of(data), check) is None
    assert not path.exists()


def test_evict__over_the_bound__drops_the_least_recently_used(cache: Cache) -> None:
    entries = [bytes([k]) * 300_000 for k in range(4)]
    for when, data in enumerate(entries[:3]):
        os.utime(meta_path(keep(cache, data)), (when, when))
    assert cache.find("tensor", root_of(entries[0])) is not None  # used now
    keep(cache, entries[3])
    found = [cache.find("tensor", root_of(data)) is not None for data in entries]
    assert found == [True, False, True, True]
    assert cache.size == 900_000


def test_evict__entry_larger_than_the_bound__is_kept_for_its_user(tmp_path: Path) -> None:
    small = Cache(tmp_path, 10)
    keep(small, b"0123456789")
    path = keep(small, bytes(100))
    assert path.exists()
    assert small.find("tensor", root_of(b"0123456789")) is None


def test_evict__held_entry__stays_whatever_the_bound_and_whoever_evicts(cache: Cache) -> None:
    entries = [bytes([k]) * 300_000 for k in range(3)]
    for when, data in enumerate(entries):
        os.utime(meta_path(keep(cache, data)), (when, when))
    cache.hold("tensor", root_of(entries[0]), time.time() + 100)
    assert cache.find("tensor", root_of(entries[0])) is not None  # its use ends no hold
    cache.hold("tensor", root_of(entries[1]), time.time() - 1)  # the hold is over
    other = Cache(cache.directory, 10)
    other.evict()
    found = [cache.find("tensor", root_of(data)) is not None for data in entries]
    assert found == [True, False, False]


def test_hold__entry_that_is_not_there__is_none(cache: Cache) -> None:
    cache.hold("tensor", bytes(32), time.time() + 100)
    assert cache.find("tensor", bytes(32)) is None


def test_evict__leftovers_of_crashes__are_removed(cache: Cache) -> None:
    old, young = cache.directory / "partial" / "old", cache.directory / "partial" / "young"
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (0, 0))
    cache.evict()
    assert (old.exists(), young.exists()) == (False, True)


def test_path__unknown_kind_or_short_root__is_refused(cache: Cache) -> None:
    for kind, root in [("weights", bytes(32)), ("tensor", bytes(31)), ("../x", bytes(32))]:
        with pytest.raises(StorageError, match="cache entry"):
            cache.path(kind, root)


def test_cache__directory_is_a_file__says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="ASSAY_CACHE"):
        Cache(tmp_path / "file", 10)


def test_evict__another_process_finishes_an_entry_meanwhile__is_no_error(cache: Cache) -> None:
    """Its file is listed, and gone when it is looked at."""
    (cache.directory / "partial" / "listed").symlink_to("renamed")
    cache.evict()


def write_many(directory: Path, log: Path) -> None:
    """Obtains twenty entries; appends a line for each that it had to fetch."""
    cache = Cache(directory, 10_000_000)
    for k in range(20):
        data = bytes([k]) * 50_000

        def fetch(entry: Entry, data: bytes = data) -> None:
            for at in range(0, len(data), 10_000):
                entry.write(data[at : at + 10_000])
            with log.open("a") as file:
                file.write("fetched\n")

        path = cache.obtain("tensor", root_of(data), fetch, check)
        assert path.read_bytes() == data


def test_obtain__four_processes_at_once__fetch_each_entry_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    arguments = (tmp_path / "cache", tmp_path / "log")
    workers = [context.Process(target=write_many, args=arguments) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert (tmp_path / "log").read_text().count("fetched") == 20
