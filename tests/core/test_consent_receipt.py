"""A consent's receipt is one by the rules of Kantara v1.1, and holds every field that ISO/IEC TS 27560 demands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft4Validator

from choices import NOW
from handraiser.core.consent import Entry, Event
from handraiser.core.preference import PREFERS
from handraiser.core.receipt import Shown, dpv, kantara
from handraiser.core.shop import Controller
from handraiser.errors import Refused

TENTS = Controller(
    id=bytes.fromhex("0a" * 16),
    slug="tents",
    name="Tents",
    legal_name="Tents B.V.",
    address_lines=("Kade 1", "Utrecht"),
    email="privacy@tents.example",
    phone="+31 30 123",
    privacy_url="https://tents.example/privacy",
    country="NL",
)
GRANT = Entry(
    event_id=bytes.fromhex("01990c5bdb90721b89338dce06bb73d7"),
    controller_id=TENTS.id,
    subject_id=b"s" * 16,
    purpose="offers",
    event=Event.GRANTED,
    occurred_at=NOW,
    received_at=NOW,
    recorded_at=NOW,
    dedup_key=b"d",
    jurisdiction="NL",
    touchpoint="email:order_confirmation",
    notice_id=b"n" * 32,
    method="button",
)
SHOWN = Shown("Offers, once a month", "en", (), "https://tents.example/u/x")


def an_object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


def texts(*names: str) -> dict[str, Any]:
    return {name: {"type": "string"} for name in names}


def a_list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


STRINGS = a_list({"type": "string"})
CONTROLLER = ["piiController", "contact", "address", "email", "phone"]
PURPOSE = ["consentType", "purposeCategory", "piiCategory", "termination", "thirdPartyDisclosure"]
HEAD = ["version", "jurisdiction", "collectionMethod", "consentReceiptID", "piiPrincipalId", "policyUrl"]
KANTARA = an_object(
    [*HEAD, "consentTimestamp", "piiControllers", "services", "sensitive", "spiCat"],
    **texts(*HEAD, "publicKey", "language"),
    consentTimestamp={"type": "integer", "minimum": 0},
    piiControllers=a_list(
        an_object(
            CONTROLLER,
            **texts("piiController", "contact", "email", "phone", "piiControllerUrl"),
            address={"type": "object"},
            onBehalf={"type": "boolean"},
        )
    ),
    services=a_list(
        an_object(
            ["service", "purposes"],
            service={"type": "string"},
            purposes=a_list(
                {
                    **an_object(
                        PURPOSE,
                        **texts("purpose", "consentType", "termination"),
                        purposeCategory=STRINGS,
                        piiCategory=STRINGS,
                        primaryPurpose={"type": "boolean"},
                    ),
                    "oneOf": [
                        an_object(["thirdPartyDisclosure"], thirdPartyDisclosure={"enum": [False]}),
                        an_object(
                            ["thirdPartyDisclosure", "thirdPartyName"],
                            thirdPartyDisclosure={"enum": [True]},
                            thirdPartyName={"type": "string"},
                        ),
                    ],
                }
            ),
        )
    ),
    sensitive={"type": "boolean"},
    spiCat=STRINGS,
)
"""The rules of the public schema of Kantara Consent Receipt v1.1.0."""


def breaks(receipt: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft4Validator(KANTARA).iter_errors(receipt)]


@pytest.mark.parametrize("recipients", [(), ("Partner Ltd", "Other Ltd")])
def test_a_grants_receipt_keeps_the_rules_of_kantara(recipients: tuple[str, ...]):
    receipt = kantara(GRANT, TENTS, replace(SHOWN, recipients=recipients))

    assert breaks(receipt) == []
    assert receipt["consentTimestamp"] == NOW // 1000
    assert receipt["consentReceiptID"] == "01990c5b-db90-721b-8933-8dce06bb73d7"
    assert receipt["services"][0]["purposes"][0]["purpose"] == "Offers, once a month"
    assert receipt["services"][0]["purposes"][0].get("thirdPartyName", "") == ", ".join(recipients)


@pytest.mark.parametrize("name", KANTARA["required"])
def test_the_rules_notice_what_is_missing(name: str):
    receipt = kantara(GRANT, TENTS, SHOWN)
    del receipt[name]

    assert breaks(receipt)


def test_only_a_given_consent_of_a_company_that_can_be_reached_has_a_kantara_receipt():
    assert kantara(replace(GRANT, event=Event.RENEWED), TENTS, SHOWN)
    with pytest.raises(Refused) as refused:
        kantara(replace(GRANT, event=Event.WITHDRAWN), replace(TENTS, email="", privacy_url=""), SHOWN)
    assert [fault.pointer for fault in refused.value.faults] == ["format", "controller.email", "controller.privacy_url"]


MUST = {
    "schema version": "dct:conformsTo/@id",
    "receipt id": "dct:identifier",
    "receipt time": "dct:created/@value",
    "record schema version": "dpv:hasRecord/dct:conformsTo/@id",
    "record id": "dpv:hasRecord/dct:identifier",
    "pii principal id": "dpv:hasRecord/dpv:hasDataSubject/@id",
    "privacy notice": "dpv:hasRecord/dpv:hasNotice/@id",
    "language": "dpv:hasRecord/dpv:hasNotice/dct:language",
    "purpose": "dpv:hasRecord/dpv:hasProcess/dpv:hasPurpose/dct:description",
    "lawful basis": "dpv:hasRecord/dpv:hasProcess/dpv:hasLegalBasis/@id",
    "pii information": "dpv:hasRecord/dpv:hasProcess/dpv:hasPersonalData/@id",
    "pii controllers": "dpv:hasRecord/dpv:hasProcess/dpv:hasDataController/@id",
    "storage": "dpv:hasRecord/dpv:hasProcess/dpv:hasStorageCondition/dct:description",
    "recipients": "dpv:hasRecord/dpv:hasProcess/dpv:hasRecipient/0/@id",
    "jurisdiction": "dpv:hasRecord/dpv:hasProcess/dpv:hasJurisdiction/0/@id",
    "rights": "dpv:hasRecord/dpv:hasProcess/dpv:hasRight/0/@id",
    "withdrawal": "dpv:hasRecord/dpv:hasProcess/dpv:hasConsentControl/schema:url",
    "party id": "dpv:hasRecord/dpv:hasEntity/dct:identifier",
    "party name": "dpv:hasRecord/dpv:hasEntity/schema:name",
    "party role": "dpv:hasRecord/dpv:hasEntity/@type",
    "party contact": "dpv:hasRecord/dpv:hasEntity/schema:email",
    "party address": "dpv:hasRecord/dpv:hasEntity/schema:address",
    "event state": "dpv:hasRecord/dpv:hasConsentStatus/@type",
    "event time": "dpv:hasRecord/dpv:hasConsentStatus/dct:date/@value",
    "duration": "dpv:hasRecord/dpv:hasConsentStatus/dpv:hasDuration/dct:description",
    "entity": "dpv:hasRecord/dpv:hasConsentStatus/dpv:isIndicatedBy/@id",
}
"""Each mandatory field of ISO/IEC TS 27560:2023, by its place in the DPV group's mapping."""


@pytest.mark.parametrize("field", MUST)
def test_the_dpv_receipt_holds_every_mandatory_field(field: str):
    value: Any = dpv(GRANT, TENTS, SHOWN, NOW + 5)
    for step in MUST[field].split("/"):
        value = value[int(step)] if isinstance(value, list) else value[step]

    assert isinstance(value, str)
    assert value


@pytest.mark.parametrize("event", [event for event in Event if event not in PREFERS])
def test_every_event_has_its_status_in_dpv(event: Event):
    status = dpv(replace(GRANT, event=event), TENTS, SHOWN, NOW)["dpv:hasRecord"]["dpv:hasConsentStatus"]

    assert status["@type"].startswith(("dpv:Consent", "dpv:Renewed"))
    assert (status["@type"] in ("dpv:ConsentGiven", "dpv:RenewedConsentGiven")) is (event in ("granted", "renewed"))


@pytest.mark.parametrize("event", sorted(PREFERS))
def test_what_says_how_and_not_whether_is_no_consent_and_has_no_receipt(event: Event):
    with pytest.raises(Refused, match="changes no consent"):
        dpv(replace(GRANT, event=event), TENTS, SHOWN, NOW)


def test_every_prefix_that_is_used_is_explained():
    receipt = dpv(GRANT, TENTS, SHOWN, NOW)
    used: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for name, one in value.items():
                used.add(name.partition(":")[0]) if ":" in name else None
                if name in ("@type", "@id") and not one.startswith(("urn:", "https:")):
                    used.add(one.partition(":")[0])
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)

    walk({name: one for name, one in receipt.items() if name != "@context"})
    assert used <= set(receipt["@context"])
