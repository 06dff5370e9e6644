"""Nothing undisclosed has a field: each data field carries a notice item, the never-accepted have none."""

from __future__ import annotations

import re

import pytest
import yaml
from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor
from idv.types.v1 import data_pb2

from tests import descriptors

SHIPPED_TERMS = descriptors.ROOT / "services" / "notice" / "versions" / "2" / "terms.yaml"

# What is never accepted, as words of a name that is split at its underscores: `machine` is no `mac`.
NEVER_ACCEPTED = (
    "imei", "imsi", "meid", "mac", "iccid", "serial", "serial number",
    "idfa", "android id", "oaid", "google aid", "gaid", "aaid", "advertising", "advertising id",
    "bluetooth", "wifi", "wi fi", "ssid", "bssid",
    "location", "latitude", "longitude", "altitude", "gps", "geolocation", "cell id", "coordinates",
    "phone number", "msisdn", "contacts", "client ip", "remote ip", "public ip", "peer ip", "ip address",
)  # fmt: skip


data_field = pytest.mark.parametrize("field", descriptors.data_fields(), ids=lambda field: field.full_name)


@data_field
def test_every_field_of_end_users_data_carries_an_item(field: FieldDescriptor) -> None:
    assert descriptors.item(field).code, "a field that no notice can list"


def test_an_item_lies_in_the_category_of_the_message_that_is_stored_with_it() -> None:
    for root in descriptors.reachable(*descriptors.DATA_ROOTS):
        category = descriptors.category(root)
        if not category:
            continue
        for message in descriptors.reachable(root):
            for field in message.fields:
                code = descriptors.item(field).code
                assert code == category or code.startswith(f"{category}."), field.full_name


def test_every_record_is_of_one_category_and_no_two_share_one() -> None:
    roots = [field.message_type for field in data_pb2.ItemSet.DESCRIPTOR.fields if field.message_type]
    roots += [data_pb2.FaceImage.DESCRIPTOR, data_pb2.IdentityDocument.DESCRIPTOR]
    categories = [descriptors.category(root) for root in roots]
    assert all(categories)
    assert len(set(categories)) == len(categories)
    assert set(categories) == {
        *("device.hardware", "device.network", "device.application", "device.installed_applications"),
        *("device.permissions", "log", "face_image", "identity_document"),
    }


def test_the_optional_items_are_those_that_the_notices_name() -> None:
    optional = {
        descriptors.item(field).code
        for field in descriptors.data_fields()
        if descriptors.item(field).optional
    }
    assert optional == {
        *("device.hardware.idfv", "device.hardware.cookie_uid"),
        *("device.network.dns_ip", "device.installed_applications"),
        "device.application.sdk_version",  # from version 2 on
    }


@data_field
def test_text_and_lists_of_end_users_data_are_bounded(field: FieldDescriptor) -> None:
    rules = field.GetOptions().Extensions[validate_pb2.field]
    if field.is_repeated:
        assert rules.repeated.max_items > 0
        rules = rules.repeated.items
    if field.type == FieldDescriptor.TYPE_STRING:
        text = rules.string
        assert text.max_len or text.ip or text.pattern.endswith("}$"), "a text without an end"


def forbidden_words(name: str) -> list[str]:
    words = " " + re.sub(r"[^a-z0-9]+", " ", name.lower()) + " "
    return [entry for entry in NEVER_ACCEPTED if f" {entry} " in words]


@pytest.mark.parametrize(
    "name",
    ["imei", "wifi_mac", "device_serial", "android_id", "google_aid", "gps_latitude", "client_ip", "oaid"],
)
def test_a_never_accepted_name_would_be_noticed(name: str) -> None:
    assert forbidden_words(name)


@pytest.mark.parametrize(
    "name", ["machine", "serialised_size", "lan_ip", "network_type", "media_id", "time_zone"]
)
def test_a_harmless_name_is_not_mistaken_for_one(name: str) -> None:
    assert not forbidden_words(name)


def test_no_message_of_the_contract_has_a_field_for_what_is_never_accepted() -> None:
    found = {
        field.full_name: words for field in descriptors.fields() if (words := forbidden_words(field.name))
    }
    assert not found


def test_no_item_is_one_that_is_never_accepted() -> None:
    codes = {descriptors.item(field).code for field in descriptors.data_fields()}
    assert not {code: words for code in codes if (words := forbidden_words(code))}


def test_the_newest_shipped_notice_lists_exactly_the_items_of_the_contract() -> None:
    listed = yaml.safe_load(SHIPPED_TERMS.read_text(encoding="utf-8"))["items"]
    codes = [entry["code"] for entry in listed]
    assert len(set(codes)) == len(codes)
    assert set(codes) == {descriptors.item(field).code for field in descriptors.data_fields()}


def test_the_newest_shipped_notice_makes_optional_what_the_contract_makes_optional() -> None:
    listed = yaml.safe_load(SHIPPED_TERMS.read_text(encoding="utf-8"))["items"]
    in_notice = {entry["code"] for entry in listed if entry.get("optional", False)}
    assert in_notice == {
        descriptors.item(field).code
        for field in descriptors.data_fields()
        if descriptors.item(field).optional
    }


def test_the_shipped_notice_takes_device_data_from_the_sdk_only() -> None:
    listed = yaml.safe_load(SHIPPED_TERMS.read_text(encoding="utf-8"))["items"]
    for entry in listed:
        from_customer_too = entry["code"].split(".")[0] in {"face_image", "identity_document", "log"}
        assert set(entry["sources"]) == ({"sdk", "customer"} if from_customer_too else {"sdk"}), entry["code"]


def test_the_shipped_notice_keeps_data_for_thirty_days() -> None:
    assert yaml.safe_load(SHIPPED_TERMS.read_text(encoding="utf-8"))["retention_days"] == 30
