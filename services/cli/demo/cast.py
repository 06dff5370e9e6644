"""Who takes part, and what is collected of them.

Nobody here exists; what is planted must not be found anywhere later.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime

from idv.types.v1 import data_pb2, processing_pb2

from services.cli.messages import timestamp

DEVICE = ("device.hardware", "device.network", "device.application", "device.permissions", "log")
MEDIA = ("face_image", "identity_document")


@dataclass
class Person:
    """An end user of one Customer, and the session opened for them."""

    label: str
    """What the narration calls them: never the Customer's own reference."""
    canary: str = field(default_factory=lambda: f"CANARY{secrets.token_hex(8)}", repr=False)
    session: processing_pb2.Session = field(default_factory=processing_pb2.Session)
    token: str = field(default="", repr=False)

    @property
    def subject(self) -> str:
        """The Customer's own reference."""
        return f"{self.canary}-subject"

    @property
    def mark(self) -> str:
        """What is planted in the metadata of their pictures."""
        return f"{self.canary}-mark"


def attestation(
    person: Person, items: tuple[str, ...], version: int, when: datetime, *, consent: bool = True
) -> processing_pb2.Attestation:
    """The Customer's word that this person authorised the items."""
    return processing_pb2.Attestation(
        reference=f"{person.canary}-evidence",
        attest_time=timestamp(when),
        legal_basis=processing_pb2.LEGAL_BASIS_CONSENT,
        explicit_consent=consent,
        items=items,
        notice_version=version,
    )


def device_items(person: Person, when: datetime, *, idfv: bool = False) -> data_pb2.ItemSet:
    """All small items of a person's device, with the canary in every text."""
    canary = person.canary
    hardware = data_pb2.DeviceHardware(
        manufacturer=f"{canary} maker",
        brand=f"{canary} brand",
        model=f"{canary} model",
        device_name=f"{canary} phone",
        operating_system="ExampleOS 14.2",
        memory_bytes=8 << 30,
        battery_percent=81,
        screen_width=1080,
        screen_height=2400,
        time_zone="Europe/Berlin",
        language="de-DE",
        boot_id=f"{canary}-boot",
    )
    if idfv:
        hardware.idfv = f"{canary}-idfv"
    return data_pb2.ItemSet(
        device_hardware=hardware,
        device_network=data_pb2.DeviceNetwork(
            carrier=f"{canary} mobile",
            network_type=data_pb2.NETWORK_TYPE_WIFI,
            sim_status=data_pb2.SIM_STATUS_READY,
            lan_ip="192.0.2.17",
        ),
        host_application=data_pb2.HostApplication(name=f"{canary} bank", version="7.4.1"),
        device_permissions=data_pb2.DevicePermissions(
            permissions=[data_pb2.DevicePermission(name="android.permission.CAMERA", granted=True)]
        ),
        log_data=log_items(person, when).log_data,
    )


def log_items(person: Person, when: datetime) -> data_pb2.ItemSet:
    """One event of a person's log, with the canary in its text."""
    event = data_pb2.LogEvent(
        event_time=timestamp(when),
        severity=data_pb2.LOG_SEVERITY_INFO,
        event="capture.face.started",
        text=f"{person.canary} log",
    )
    return data_pb2.ItemSet(log_data=data_pb2.LogData(events=[event]))
