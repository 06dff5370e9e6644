"""The slot file keeps keys, never uses a version twice, and leaves nothing of a destroyed key."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.storage.authority import EVERY_VERSION, KeyDestroyedError, LocalSlots, SealBrokenError
from services.storage.slots import SlotFile, SlotFileError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "keys" / "slots"
    SlotFile.create(file, 64)
    return file


def test_a_key_is_found_by_name_and_version_after_reopening(path: Path) -> None:
    slots = SlotFile(path)
    version = slots.make("20261124/037")
    key = slots.key("20261124/037", version)
    assert key is not None
    assert SlotFile(path).key("20261124/037", version) == key
    assert slots.key("20261124/038", version) is None


def test_a_destroyed_key_is_nowhere_in_the_file(path: Path) -> None:
    slots = SlotFile(path)
    version = slots.make("epoch")
    key = slots.key("epoch", version)
    assert key is not None
    assert key in path.read_bytes()
    assert slots.destroy_below({"epoch": version}) == 0
    assert slots.destroy_below({"epoch": version + 1}) == 1
    assert slots.key("epoch", version) is None
    assert key not in path.read_bytes()


def test_versions_grow_across_names_reuse_and_restarts(path: Path) -> None:
    seen = []
    for _ in range(5):
        slots = SlotFile(path)
        seen += [slots.make("a"), slots.make("b")]
        slots.destroy_below({"a": EVERY_VERSION})
        slots.destroy_below({"b": EVERY_VERSION})
        slots.close()
    assert seen == sorted(set(seen))


def test_destroyed_slots_are_used_again_and_a_full_file_says_so(path: Path) -> None:
    slots = SlotFile(path)
    for turn in range(3):
        for number in range(64):
            slots.make(f"{turn}/{number}")
        with pytest.raises(SlotFileError, match="all 64 key slots are in use"):
            slots.make("one too many")
        for number in range(64):
            slots.destroy_below({f"{turn}/{number}": EVERY_VERSION})
    assert slots.free() == 64


def test_many_names_are_destroyed_together_and_no_others(path: Path) -> None:
    slots = SlotFile(path)
    versions = {f"name-{number}": slots.make(f"name-{number}") for number in range(40)}
    doomed = {name: version + 1 for name, version in list(versions.items())[::2]}
    assert slots.destroy_below({**doomed, "never made": EVERY_VERSION}) == 20
    assert {
        name for name, version in versions.items() if slots.key(name, version)
    } == versions.keys() - doomed.keys()
    assert all(SlotFile(path).key(name, versions[name]) is None for name in doomed)


def test_a_slot_used_again_does_not_answer_for_the_key_it_held(path: Path) -> None:
    one, other = SlotFile(path), SlotFile(path)
    old = one.make("a")
    assert other.key("a", old) is not None
    one.destroy_below({"a": EVERY_VERSION})
    new = one.make("a")
    assert other.key("a", old) is None
    assert other.key("a", new) == one.key("a", new) is not None
    assert other.key("b", new) is None


def test_a_look_that_may_not_wait_says_that_someone_writes(path: Path) -> None:
    one, other = SlotFile(path), SlotFile(path)
    version = one.make("a")
    with one._locked(fcntl.LOCK_EX), pytest.raises(BlockingIOError):
        other.key("a", version, wait=False)
    assert other.key("a", version, wait=False) is not None


def test_creating_again_keeps_the_file(path: Path) -> None:
    version = SlotFile(path).make("kept")
    SlotFile.create(path, 8)
    assert SlotFile(path).key("kept", version) is not None
    assert [entry.name for entry in path.parent.iterdir()] == ["slots"]


@pytest.mark.parametrize("at", [0, 20, 4096, 4096 + 60])
def test_a_damaged_file_is_refused(path: Path, at: int) -> None:
    SlotFile(path).make("a")
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(SlotFileError):
        SlotFile(path)


def test_a_missing_short_or_readable_file_is_refused(path: Path) -> None:
    with pytest.raises(SlotFileError, match="cannot be opened"):
        SlotFile(path.with_name("other"))
    path.chmod(0o644)
    with pytest.raises(SlotFileError, match="0600"):
        SlotFile(path)
    path.chmod(0o600)
    os.truncate(path, 5000)
    with pytest.raises(SlotFileError, match="bytes"):
        SlotFile(path)


def test_a_counter_put_back_is_refused(path: Path) -> None:
    header = path.read_bytes()[:4096]
    SlotFile(path).make("a")
    path.write_bytes(header + path.read_bytes()[4096:])
    with pytest.raises(SlotFileError, match="an older copy was put back"):
        SlotFile(path)


def _make(path: Path) -> list[int]:
    slots = SlotFile(path)
    return [slots.make("shared") for _ in range(10)]


def test_processes_and_threads_never_share_a_version(path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        from_processes = [version for made in pool.map(_make, [path] * 3) for version in made]
    slots = SlotFile(path)
    with ThreadPoolExecutor(8) as threads:
        from_threads = list(threads.map(lambda _: slots.make("shared"), range(20)))
    assert len({*from_processes, *from_threads}) == 50


WORKER = """
    import sys
    from pathlib import Path
    from services.storage.slots import SlotFile
    slots = SlotFile(Path(sys.argv[1]))
    number = 0
    while True:
        number += 1
        version = slots.make(f"{sys.argv[2]}/{number}")
        key = slots.key(f"{sys.argv[2]}/{number}", version)
        print("made", number, version, key.hex(), flush=True)
        if number % 2:
            slots.destroy_below({f"{sys.argv[2]}/{number}": version + 1})
            print("destroyed", number, version, key.hex(), flush=True)
        elif number > 2:
            slots.destroy_below({f"{sys.argv[2]}/{number - 2}": version + 1})
            print("retired", number - 2, flush=True)
"""


def test_a_kill_at_any_moment_loses_no_key_and_revives_none(path: Path) -> None:
    chance, destroyed, versions = random.Random(7), set[str](), list[int]()  # noqa: S311 - moments, not keys
    for turn in range(8):
        worker = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WORKER), str(path), str(turn)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert worker.stdout is not None
        lines = [worker.stdout.readline() for _ in range(chance.randrange(5, 40))]
        os.kill(worker.pid, signal.SIGKILL)
        lines += worker.stdout.readlines()
        worker.wait()
        made: dict[int, tuple[int, str]] = {}
        kept: set[int] = set()
        for line in lines:
            word, number, *rest = line.split()
            if word == "made":
                made[int(number)] = int(rest[0]), rest[1]
                versions.append(int(rest[0]))
                kept.add(int(number))
            else:
                kept.discard(int(number))
                destroyed.add(made[int(number)][1])
        slots, content = SlotFile(path), path.read_bytes()
        assert not any(bytes.fromhex(key) in content for key in destroyed)
        # The newest ones may or may not have gone further than the last line that was printed.
        settled = {number for number in kept if number < max(made) - 2}
        assert all(slots.key(f"{turn}/{number}", made[number][0]) is not None for number in settled)
        slots.close()
    assert versions == sorted(set(versions))


async def test_a_sealed_root_opens_only_under_its_name_and_until_destroyed(path: Path) -> None:
    authority = LocalSlots(SlotFile(path))
    version = await authority.make("a")
    other = await authority.make("b")
    sealed = await authority.seal("a", version, b"root")
    assert await authority.open("a", version, sealed) == b"root"
    for broken in (sealed[:-1], sealed[:3], sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(SealBrokenError):
            await authority.open("a", version, broken)
    with pytest.raises(SealBrokenError):
        await authority.open("b", other, sealed)
    assert await authority.destroy_below({"a": EVERY_VERSION}) == 1
    with pytest.raises(KeyDestroyedError):
        await authority.open("a", version, sealed)
    with pytest.raises(KeyDestroyedError):
        await authority.seal("a", version, b"root")
