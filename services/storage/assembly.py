"""Puts the domain objects together, for the process and for tests alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from services.runtime.both_clocks import BothClocks
from services.runtime.clock import Clock, SystemClock
from services.runtime.clock_guard import ClockGuard
from services.runtime.database import Database
from services.runtime.logs import Log
from services.runtime.telemetry import Telemetry
from services.runtime.tokens import TokenVerifier
from services.storage.access_details import AccessDetails
from services.storage.accesses import AccessLog
from services.storage.ageing import Ageing
from services.storage.api import Parts, StorageServicer
from services.storage.authority import KeyAuthority
from services.storage.changes import Changes
from services.storage.closing import Closing
from services.storage.corrections import Corrections
from services.storage.customer_keys import CustomerKeys
from services.storage.days import Days
from services.storage.erasure import Erasure
from services.storage.expiry import Expiry, Stores
from services.storage.grants import Grants
from services.storage.inspection import Inspection
from services.storage.keys import Keyring
from services.storage.listing import Listing, Subjects
from services.storage.numbering import Numbering
from services.storage.objects import Objects
from services.storage.opt_outs import OptOuts
from services.storage.preview import Preview
from services.storage.reader import Reader
from services.storage.restrictions import Restrictions
from services.storage.sealing import Opener, Sealer
from services.storage.session_listing import SessionListing
from services.storage.sessions import Sessions
from services.storage.settings import StorageLimits
from services.storage.sweep import Sweep
from services.storage.sweeping import Sweeping
from services.storage.targets import Targets
from services.storage.uploads import Uploads
from services.storage.writer import Writer


@dataclass(frozen=True)
class Surroundings:
    """What storage stands on. `clocks`: `clock` beside the database's."""

    deployment: str
    clock: Clock
    clocks: BothClocks
    guard: ClockGuard
    log: Log
    telemetry: Telemetry
    session_tokens: TokenVerifier
    database: Database
    owner: Database
    objects: Objects
    authority: KeyAuthority


@dataclass(frozen=True)
class Storage:
    """The assembled service. `writer` must be entered before writes are taken."""

    parts: Parts
    servicer: StorageServicer
    closing: Closing
    keys: Keyring
    days: Days
    writer: Writer
    expiry: Expiry
    erasure: Erasure
    sweep: Sweep
    numbering: Numbering
    ageing: Ageing
    guard: ClockGuard

    async def drop_due_keys(self) -> None:
        """Looks at the clocks, then forgets the cached root keys that are due in this process."""
        await self.guard.until()
        await self.keys.drop_due()


def assemble(around: Surroundings, limits: StorageLimits) -> Storage:
    """The service on its surroundings; nothing runs yet."""
    database, clock, objects = around.database, around.clock, around.objects
    days = Days(database, around.owner, objects, clock, limits.own_term_days, limits.days_ahead)
    keys = Keyring(database, around.authority, days, around.clocks)
    opener = Opener(keys, around.deployment)
    sealer = Sealer(keys, days, Grants(around.session_tokens), clock, around.deployment)
    writer = Writer(
        database,
        batch_items=limits.batch_items,
        batch_bytes=limits.batch_bytes,
        queue_bytes=limits.queue_bytes,
    )
    details = AccessDetails(keys, clock, around.deployment)
    numbering = Numbering(
        *(database, details, limits.bulk_rule, timedelta(days=limits.access_totals_days)),
        *(clock, around.log, around.telemetry),
    )
    subjects = Subjects(database, keys, days)
    targets = Targets(subjects, around.deployment)
    sweeping = Sweeping(database, days, objects, clock, page=limits.erasure_page)
    erasure = Erasure(
        *(database, keys, days, objects, targets, sweeping, clock), seconds=limits.erasure_seconds
    )
    changes = Changes(database, keys, days, clock)
    restrictions = Restrictions(database, keys, changes, clock)
    customer_keys = CustomerKeys(database, around.authority)
    opt_outs = OptOuts(customer_keys, changes, clock)
    reader = Reader(database, opener, objects, details, numbering, around.clocks)
    sessions = Sessions(
        *(database, keys, days, clock, around.deployment), restrictions=restrictions, opt_outs=opt_outs
    )
    corrections = Corrections(database, keys, days, opener, erasure, clock, around.deployment)
    parts = Parts(
        database=database,
        sessions=sessions,
        sealer=sealer,
        writer=writer,
        uploads=Uploads(
            *(sealer, objects, writer), object_bytes=limits.object_bytes, in_flight=limits.objects_in_flight
        ),
        opener=opener,
        reader=reader,
        listing=Listing(database, subjects, opener, details, numbering, around.clocks),
        session_listing=SessionListing(database, subjects, sessions, details, numbering),
        corrections=corrections,
        accesses=AccessLog(database, details, numbering),
        erasure=erasure,
        preview=Preview(database, days, targets, clock),
        restrictions=restrictions,
        opt_outs=opt_outs,
        inspection=Inspection(database, days, keys, reader, clock),
        claim=around.authority.claim,
    )
    stores = Stores(database, around.owner, objects)
    return Storage(
        parts=parts,
        servicer=StorageServicer(parts),
        closing=Closing(database, customer_keys, changes, clock),
        keys=keys,
        days=days,
        writer=writer,
        expiry=Expiry(stores, keys, days, clock, around.guard, around.log, around.telemetry),
        erasure=erasure,
        sweep=Sweep(database, objects, days, SystemClock(), around.log),
        numbering=numbering,
        ageing=Ageing(database, around.guard, around.telemetry, timedelta(days=limits.evidence_days)),
        guard=around.guard,
    )
