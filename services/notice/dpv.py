"""A version's terms in the words of the W3C's Data Privacy Vocabulary, version 2, as JSON-LD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.notice.catalogue import CatalogueItem
from services.notice.terms import Terms, TermsItem

CONTEXT = {
    "dpv": "https://w3id.org/dpv#",
    "pd": "https://w3id.org/dpv/pd#",
    "gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "dct": "http://purl.org/dc/terms/",
}
_PURPOSES = {
    "verification": "dpv:IdentityVerification",
    "troubleshooting": "dpv:TechnicalServiceProvision",
    "rights_support": "dpv:RightsFulfilment",
}
_RIGHTS = {
    "know": "gdpr:A15",
    "delete": "gdpr:A17",
    "correct": "gdpr:A16",
    "limit": "gdpr:A18",
    "opt_out": "gdpr:A21",
}
_SOURCES = {"customer": "dpv:DataControllerDataSource", "sdk": "dpv:DataSubjectDataSource"}
_CATEGORIES = {
    "device.hardware": "pd:DeviceBased",
    "device.network": "pd:DeviceBased",
    "device.application": "pd:DeviceSoftware",
    "device.installed_applications": "pd:DeviceApplications",
    "device.permissions": "pd:DeviceSoftware",
    "face_image": "pd:Picture",
    "identity_document": "pd:OfficialID",
}
_OTHER = "dpv:PersonalData"
_SPECIAL = {"face_image"}


def process(terms: Terms, items: Mapping[str, CatalogueItem]) -> dict[str, Any]:
    """The terms as one `dpv:Process` of a processor. What DPV has no term for keeps its name as a title."""
    return {
        "@context": CONTEXT,
        "@type": "dpv:Process",
        "dpv:hasDataProcessor": {"@type": "dpv:DataProcessor"},
        "dpv:hasPurpose": [{"@id": _PURPOSES[name]} for name in terms.purposes],
        "dpv:hasRight": [{"@id": _RIGHTS[name]} for name in terms.rights],
        "dpv:hasRecipient": [{"@type": "dpv:Recipient", "dct:title": name} for name in terms.recipients],
        "dpv:hasLocation": [{"@type": "dpv:Location", "dct:title": name} for name in terms.regions],
        "dpv:hasStorageCondition": {
            "@type": "dpv:StorageCondition",
            "dpv:hasDuration": {"@type": "dpv:StorageDuration", "dct:extent": f"P{terms.retention_days}D"},
        },
        "dpv:hasPersonalData": [_item(item, items) for item in terms.items],
    }


def _item(item: TermsItem, items: Mapping[str, CatalogueItem]) -> dict[str, Any]:
    known = items.get(item.code)
    category = known.category if known else item.code
    kinds = [_CATEGORIES.get(category, _OTHER)]
    if category in _SPECIAL:
        kinds.append("dpv:SensitivePersonalData")
    return {
        "@type": kinds,
        "dct:identifier": item.code,
        "dct:title": dict(item.name),
        "dpv:hasDataSource": [{"@id": _SOURCES[source]} for source in item.sources],
        "dpv:hasNecessity": {"@id": "dpv:Optional" if item.optional else "dpv:Required"},
    }
