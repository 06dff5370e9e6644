"""The service does not start with a key slot file that is not the one its database was sealed with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import structlog

from services.storage.authority import KeyDestroyedError, LocalSlots
from services.storage.custody import open_slots
from services.storage.epochs import Epoch
from services.storage.keys import key_name
from services.storage.settings import KeySettings
from services.storage.slots import SlotFile
from services.storage.store import keys as key_store
from tests.storage_parts import Replica, reason


async def start(storage: Replica, file: Path) -> SlotFile:
    settings = KeySettings(file=file, slots=1024)
    return await open_slots(settings, storage.around.database, structlog.get_logger(), production=False)


async def test_a_database_without_keys_gets_a_new_file(storage: Replica, tmp_path: Path) -> None:
    slots = await start(storage, tmp_path / "fresh" / "slots")
    assert slots.free() == 1024
    slots.close()


async def test_the_right_file_is_opened_again(storage: Replica) -> None:
    await storage.session()
    slots = await start(storage, storage.servers.slot_file)
    assert slots.last_version() == 2
    slots.close()


async def test_a_missing_file_is_not_replaced_by_an_empty_one(storage: Replica, tmp_path: Path) -> None:
    await storage.session()
    assert await reason(start(storage, tmp_path / "elsewhere")) == "WRONG_STATE"
    assert not (tmp_path / "elsewhere").exists()


async def test_an_older_copy_and_a_damaged_file_are_refused(storage: Replica, tmp_path: Path) -> None:
    await storage.session()
    older, damaged = tmp_path / "older", tmp_path / "damaged"
    shutil.copy(storage.servers.slot_file, older)
    storage.advance(minutes=15)
    await storage.session()
    assert await reason(start(storage, older)) == "WRONG_STATE"
    shutil.copy(storage.servers.slot_file, damaged)
    damaged.write_bytes(b"x" + damaged.read_bytes()[1:])
    assert await reason(start(storage, damaged)) == "WRONG_STATE"


async def test_what_was_destroyed_since_a_copy_was_made_is_destroyed_again_at_the_start(
    storage: Replica, tmp_path: Path
) -> None:
    """Destructions leave the counter where it was: by it alone, the copy looks as new as the file."""
    received = storage.servers.clock.now()
    epoch = Epoch.of(received.date(), received)
    await storage.write(await storage.session())
    async with storage.around.database.transaction() as connection:
        root = await key_store.find_root(connection, epoch)
    assert root is not None
    assert root.sealed is not None
    older = tmp_path / "older"
    shutil.copy(storage.servers.slot_file, older)
    storage.advance(days=31)
    await storage.storage.expiry.destroy_keys()

    slots = await start(storage, older)
    with pytest.raises(KeyDestroyedError):
        await LocalSlots(slots).open(key_name(epoch), root.version, root.sealed)
    assert slots.free() == 1024
    slots.close()
