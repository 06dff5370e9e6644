"""Only what is attested, asked for and listed enters, and only from the sources listed."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from idv.errors import IdvError, Reason
from idv.types.v1 import data_pb2, processing_pb2

from services.ingest.admission import Admission
from tests.unit.ingest_terms import CATALOGUE, CUSTOMER, SDK, terms

ADMISSION = Admission(CATALOGUE)
HARDWARE = data_pb2.DeviceHardware(model="M1", memory_bytes=1 << 33)
IDFV = data_pb2.DeviceHardware(model="M1", idfv="vendor")
DNS = data_pb2.DeviceNetwork(dns_ip="10.0.0.1")
APPLICATIONS = data_pb2.InstalledApplications(names=["one"])
LOG = data_pb2.LogData(events=[data_pb2.LogEvent(event="capture.started")])

IN_NOTICE = Reason.ERROR_REASON_ITEM_NOT_IN_NOTICE
REQUESTED = Reason.ERROR_REASON_ITEM_NOT_REQUESTED
ATTESTED = Reason.ERROR_REASON_ITEM_NOT_ATTESTED
SOURCE = Reason.ERROR_REASON_SOURCE_NOT_ALLOWED


@pytest.mark.parametrize(
    ("message", "granted", "category"),
    [
        (HARDWARE, {"device.hardware"}, "device.hardware"),
        (HARDWARE, {"device.hardware.model", "device.hardware.memory_size"}, "device.hardware"),
        (IDFV, {"device.hardware", "device.hardware.idfv"}, "device.hardware"),
        (DNS, {"device.network.dns_ip"}, "device.network"),
        (APPLICATIONS, {"device.installed_applications"}, "device.installed_applications"),
        (LOG, {"log"}, "log"),
    ],
)
def test_what_was_asked_for_and_is_listed_enters(message: Message, granted: set[str], category: str) -> None:
    assert ADMISSION.admit(message, "items.x", frozenset(granted), terms(), SDK) == category


@pytest.mark.parametrize(
    ("message", "granted", "field", "reason"),
    [
        (HARDWARE, set(), "items.x.model", REQUESTED),
        (HARDWARE, {"device.network"}, "items.x.model", REQUESTED),
        (HARDWARE, {"device.hardware.model"}, "items.x.memory_bytes", REQUESTED),
        (IDFV, {"device.hardware"}, "items.x.idfv", REQUESTED),
        (DNS, {"device.network"}, "items.x.dns_ip", REQUESTED),
        (APPLICATIONS, {"device.hardware"}, "items.x.names", REQUESTED),
    ],
)
def test_what_was_not_asked_for_by_name_or_category_is_refused(
    message: Message, granted: set[str], field: str, reason: Reason.ValueType
) -> None:
    with pytest.raises(IdvError) as caught:
        ADMISSION.admit(message, "items.x", frozenset(granted), terms(), SDK)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert caught.value.remedy


def test_an_item_that_the_terms_in_force_do_not_list_is_refused_though_it_was_asked_for() -> None:
    without = terms(without=["device.hardware.memory_size"])
    with pytest.raises(IdvError) as caught:
        ADMISSION.admit(HARDWARE, "items.device_hardware", frozenset({"device.hardware"}), without, SDK)
    assert caught.value.reason == IN_NOTICE
    assert caught.value.field == "items.device_hardware.memory_bytes"


def test_a_source_that_the_notice_does_not_list_is_refused() -> None:
    narrow = terms(sdk_only=["device.hardware"])
    granted = frozenset({"device.hardware"})
    assert ADMISSION.admit(HARDWARE, "f", granted, narrow, SDK) == "device.hardware"
    with pytest.raises(IdvError) as caught:
        ADMISSION.admit(HARDWARE, "f", granted, narrow, CUSTOMER)
    assert caught.value.reason == SOURCE


@pytest.mark.parametrize("kind", [data_pb2.FaceImage, data_pb2.IdentityDocument])
def test_media_is_admitted_by_its_category_alone(kind: type[Message]) -> None:
    category = CATALOGUE.plan(kind()).category
    assert ADMISSION.admit_media(kind(), "header.x", frozenset({category}), terms(), CUSTOMER) == category
    for granted, listed, reason in (
        (set(), terms(), REQUESTED),
        ({category}, terms(without=[category]), IN_NOTICE),
    ):
        with pytest.raises(IdvError) as caught:
            ADMISSION.admit_media(kind(), "header.x", frozenset(granted), listed, SDK)
        assert (caught.value.reason, caught.value.field) == (reason, "header.x")


@pytest.mark.parametrize(
    ("asked", "attested", "fault"),
    [
        (["device.hardware"], ["device.hardware"], None),
        (["device.hardware.model"], ["device.hardware"], None),
        (["device.network.dns_ip"], ["device.network.dns_ip"], None),
        (["face_image", "log"], ["log", "face_image"], None),
        (["device.network.dns_ip"], ["device.network"], ATTESTED),
        (["device.hardware"], ["device.hardware.model"], ATTESTED),
        (["log", "face_image"], ["log"], ATTESTED),
        (["device.hardware.imei"], ["device.hardware"], IN_NOTICE),
        (["location"], ["log"], IN_NOTICE),
        (["log"], ["log", "device.imei"], IN_NOTICE),
    ],
)
def test_a_session_holds_only_what_is_attested_and_listed(
    asked: list[str], attested: list[str], fault: Reason.ValueType | None
) -> None:
    if fault is None:
        assert ADMISSION.session_items(asked, attested, terms(), terms()) == sorted(asked)
        return
    with pytest.raises(IdvError) as caught:
        ADMISSION.session_items(asked, attested, terms(), terms())
    assert caught.value.reason == fault
    assert "items[" in (caught.value.field or "")


def test_asking_twice_is_asking_once_and_the_order_does_not_matter() -> None:
    asked = ["log", "face_image", "log"]
    assert ADMISSION.session_items(asked, asked, terms(), terms()) == ["face_image", "log"]


def test_an_item_that_the_version_shown_did_not_list_is_not_attested() -> None:
    with pytest.raises(IdvError) as caught:
        ADMISSION.session_items(["log"], ["log"], terms(2), terms(1, without=["log"]))
    assert caught.value.reason == ATTESTED
    assert "version 1" in caught.value.message


def test_a_category_that_the_terms_do_not_list_at_all_is_refused_by_name() -> None:
    with pytest.raises(IdvError) as caught:
        ADMISSION.session_items(["log"], ["log"], terms(without=["log"]), terms())
    assert caught.value.reason == IN_NOTICE
    assert caught.value.metadata["item"] == "log"


def test_no_item_enters_from_an_unspecified_source() -> None:
    with pytest.raises(KeyError):
        ADMISSION.admit(LOG, "f", frozenset({"log"}), terms(), processing_pb2.SOURCE_UNSPECIFIED)
