"""A ledger entry as a consent receipt: Kantara Consent Receipt v1.1, and ISO/IEC TS 27560:2023 in DPV 2.3's words.

Neither names the customer: the subject's pseudonym stands where an address could. Pure.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from handraiser.core.consent import Entry
from handraiser.core.shop import Controller
from handraiser.errors import Fault, Refused

KANTARA_VERSION = "KI-CR-v1.1.0"
DPV_PROFILE = "https://w3id.org/dpv/schema/dpv-27560#record-eu-gdpr"
GIVEN = frozenset({"granted", "renewed"})
"""Events that are a consent; the Kantara receipt knows no other."""

_STATUS: Mapping[str, str] = {
    "requested": "ConsentRequested",
    "pending": "ConsentRequested",
    "granted": "ConsentGiven",
    "renewed": "RenewedConsentGiven",
    "withdrawn": "ConsentWithdrawn",
    "refused": "ConsentRefused",
    "objected": "ConsentRefused",
    "voided": "ConsentInvalidated",
    "lapsed": "ConsentExpired",
    "erased": "ConsentInvalidated",
    "imported": "ConsentUnknown",
}
"""Each event as a dpv:ConsentStatus."""
_CONTEXT = {
    "dpv": "https://w3id.org/dpv#",
    "pd": "https://w3id.org/dpv/pd#",
    "loc": "https://w3id.org/dpv/loc#",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "dct": "http://purl.org/dc/terms/",
    "schema": "https://schema.org/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_CONTACT = {
    "email": "pd:EmailAddress",
    "sms": "pd:TelephoneNumber",
    "phone": "pd:TelephoneNumber",
    "post": "pd:PhysicalAddress",
}
_UNTIL = "until the consent is withdrawn"


@dataclass(frozen=True, slots=True)
class Shown:
    """What an entry is a consent to: the purpose in words, in ``language``, and who else receives the data.

    ``leave_url`` is where a customer withdraws, "" where there is no page.
    """

    purpose: str
    language: str
    recipients: tuple[str, ...] = ()
    leave_url: str = ""


def kantara(entry: Entry, controller: Controller, shown: Shown) -> dict[str, Any]:
    """The receipt after the Kantara specification v1.1.0 §4, as JSON.

    Raises :class:`Refused` for an entry that is no given consent, and where the company has told neither an address
    nor a privacy policy: the receipt must name both.
    """
    faults = []
    if entry.event not in GIVEN:
        faults.append(Fault("format", "not_given", f"this entry is “{entry.event}”; ask for format=dpv"))
    faults += [
        Fault(f"controller.{name}", "missing", "a receipt must name it: set it for the company")
        for name in ("email", "privacy_url")
        if not getattr(controller, name)
    ]
    if faults:
        raise Refused(faults)
    third = {"thirdPartyDisclosure": bool(shown.recipients)}
    named = {"thirdPartyName": ", ".join(shown.recipients)} if shown.recipients else {}
    return {
        "version": KANTARA_VERSION,
        "jurisdiction": entry.jurisdiction or controller.country,
        "consentTimestamp": entry.occurred_at // 1000,
        "collectionMethod": _collected(entry),
        "consentReceiptID": _id(entry.event_id),
        "language": shown.language,
        "piiPrincipalId": _id(entry.subject_id),
        "piiControllers": [
            {
                "piiController": controller.legal_name or controller.name,
                "onBehalf": False,
                "contact": controller.legal_name or controller.name,
                "address": _postal(controller),
                "email": controller.email,
                "phone": controller.phone,
            }
        ],
        "policyUrl": controller.privacy_url,
        "services": [
            {
                "service": controller.name,
                "purposes": [
                    {
                        "purpose": shown.purpose,
                        "purposeCategory": ["Marketing"],
                        "consentType": "EXPLICIT" if entry.basis == "consent" else "IMPLICIT",
                        "piiCategory": ["Contact"],
                        "primaryPurpose": False,
                        "termination": _UNTIL,
                        **third,
                        **named,
                    }
                ],
            }
        ],
        "sensitive": False,
        "spiCat": [],
    }


def dpv(entry: Entry, controller: Controller, shown: Shown, issued_at: int) -> dict[str, Any]:
    """The receipt and its record after ISO/IEC TS 27560:2023, as JSON-LD in the vocabulary that the W3C's DPV group
    maps it to. ``issued_at`` (ms UTC) is when this receipt was made. Raises :class:`Refused` for an entry that changes
    no consent."""
    if entry.event not in _STATUS:
        raise Refused([Fault("format", "no_consent", f"this entry is “{entry.event}”; it changes no consent")])
    record, subject, company = (f"urn:uuid:{_id(one)}" for one in (entry.event_id, entry.subject_id, controller.id))
    notice = f"urn:sha256:{entry.notice_id.hex()}" if entry.notice_id else controller.privacy_url or f"{record}#notice"
    return {
        "@context": _CONTEXT,
        "@id": f"{record}#receipt",
        "@type": "dpv:ConsentReceipt",
        "dct:conformsTo": {"@id": DPV_PROFILE},
        "dct:identifier": f"{_id(entry.event_id)}-{issued_at}",
        "dct:created": _time(issued_at),
        "dpv:hasRecord": {
            "@id": record,
            "@type": "dpv:ConsentRecord",
            "dct:conformsTo": {"@id": DPV_PROFILE},
            "dct:identifier": _id(entry.event_id),
            "dpv:hasDataSubject": {"@id": subject, "@type": "dpv:DataSubject"},
            "dpv:hasNotice": {"@id": notice, "@type": "dpv:ConsentNotice", "dct:language": shown.language},
            "dpv:hasProcess": _process(entry, controller, shown),
            "dpv:hasEntity": {
                "@id": company,
                "@type": "dpv:DataController",
                "dct:identifier": _id(controller.id),
                "schema:name": controller.legal_name or controller.name,
                "schema:address": ", ".join(controller.address_lines),
                "schema:email": controller.email,
                "schema:telephone": controller.phone,
            },
            "dpv:hasConsentStatus": {
                "@id": f"{record}#event",
                "@type": f"dpv:{_STATUS[entry.event]}",
                "dct:date": _time(entry.occurred_at),
                "dpv:hasDuration": {"@type": "dpv:UntilEventDuration", "dct:description": _UNTIL},
                "dpv:isIndicatedBy": {"@id": subject if entry.actor == "subject" else company},
                "dpv:hasIndicationMethod": _collected(entry),
            },
        },
    }


def _process(entry: Entry, controller: Controller, shown: Shown) -> dict[str, Any]:
    """What is done with the data, for what, by whom, and how it is stopped."""
    record, company = f"urn:uuid:{_id(entry.event_id)}", f"urn:uuid:{_id(controller.id)}"
    recipients = [{"@type": "dpv:Recipient", "schema:name": name} for name in shown.recipients]
    rights = [{"@id": f"eu-gdpr:{article}"} for article in ("A7-3", "A15", "A16", "A17", "A20", "A77")]
    change = {"@type": "dpv:WithdrawConsent", "dct:description": "one press, without a login; at any time"}
    if shown.leave_url:
        change["schema:url"] = shown.leave_url
    # Of several countries the strictest market counted: "AT+DE".
    countries = (entry.jurisdiction or controller.country).split("+")
    places = [{"@id": f"loc:{one}"} for one in countries if len(one) == 2 and one.isupper()]
    return {
        "@id": f"{record}#process",
        "@type": "dpv:Process",
        "dpv:hasPurpose": {
            "@type": "dpv:Marketing",
            "dct:title": entry.purpose,
            "dct:description": shown.purpose,
        },
        "dpv:hasLegalBasis": {"@id": "eu-gdpr:A6-1-a"},
        "dpv:hasPersonalData": {"@id": _CONTACT.get(entry.channel, "pd:Contact")},
        "dpv:hasStorageCondition": {"@type": "dpv:StorageCondition", "dct:description": _UNTIL},
        "dpv:hasDataController": {"@id": company},
        "dpv:hasRecipient": recipients or [{"@id": company}],
        "dpv:hasJurisdiction": places or [{"dct:title": "unknown"}],
        "dpv:hasRight": rights,
        "dpv:hasConsentControl": change,
    }


def _collected(entry: Entry) -> str:
    return (
        " ".join(part for part in (entry.method, "at", entry.touchpoint) if part) if entry.touchpoint else entry.method
    )


def _postal(controller: Controller) -> dict[str, str]:
    address = {"streetAddress": ", ".join(controller.address_lines), "addressCountry": controller.country}
    return {name: text for name, text in address.items() if text}


def _time(at: int) -> dict[str, str]:
    text = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"@type": "xsd:dateTime", "@value": text}


def _id(raw: bytes) -> str:
    return str(uuid.UUID(bytes=raw))
