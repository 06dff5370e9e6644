"""Opens the local key authority, and refuses one that is not the one this database was sealed with."""

from __future__ import annotations

from idv.errors import IdvError, Reason

from services.runtime.database import Database
from services.runtime.logs import Log
from services.storage.authority import EVERY_VERSION
from services.storage.disk import copying_file_system
from services.storage.epochs import SLOTS_A_DAY
from services.storage.keys import key_name
from services.storage.settings import KeySettings
from services.storage.slots import SlotFile, SlotFileError
from services.storage.store import keys as key_store


async def open_slots(settings: KeySettings, database: Database, log: Log, *, production: bool) -> SlotFile:
    """The slot file, made if this database never sealed anything; what was destroyed is destroyed in it.

    Raises WRONG_STATE for a file that is missing, damaged, older than the database, or, in production, on a
    file system that keeps what is overwritten.
    """
    file = settings.file
    async with database.transaction() as connection:
        newest = await key_store.newest_version(connection)
        destroyed = await key_store.list_destroyed(connection)
    if newest and not file.exists():
        raise _refused(f"the key slot file {file} is missing, and root keys rest sealed by it", "put it back")
    try:
        SlotFile.create(file, settings.slots)
        slots = SlotFile(file)
    except SlotFileError as error:
        raise _refused(str(error), "put the right file back; a damaged one cannot be repaired") from error
    if slots.last_version() < newest:
        slots.close()
        raise _refused(f"the key slot file {file} is older than the database", "put the newest one back")
    # A destruction leaves the counter where it was: a copy made just before one does not look older.
    if again := slots.destroy_below({key_name(epoch): EVERY_VERSION for epoch in destroyed}):
        log.warning(
            "an older copy of the key slot file was put back: keys in it were destroyed again",
            count=again,
            remedy="destroy the copy's source",
        )
    copying = copying_file_system(file)
    if copying and production:
        slots.close()
        raise _refused(
            f"{file} lies on {copying}, which keeps what is overwritten", "move it to a local disk"
        )
    if copying:
        log.warning("destroyed keys may survive below the file system", state=copying)
    if (free := slots.free()) < SLOTS_A_DAY:
        log.warning("key slots run out", count=free, remedy="look whether expiry is late")
    return slots


def _refused(message: str, remedy: str) -> IdvError:
    return IdvError(Reason.ERROR_REASON_WRONG_STATE, message, remedy=remedy)
