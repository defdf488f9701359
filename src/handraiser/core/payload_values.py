"""What one value of an order payload may hold: amounts, dates, links, codes, addresses; each with its JSON schema.

The readers raise :class:`ValueError` with the sentence that a shop's engineer is to see.
"""

from __future__ import annotations

import binascii
import re
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, cast

from babel import Locale as Babel
from babel.core import get_global
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator
from pydantic.json_schema import WithJsonSchema

from handraiser.core.mailbox import read_address, read_mailbox

TEXT_LIMIT = 2_000
_DECIMALS = 20
_AMOUNT_LIMIT = 10**12
_AMOUNT = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,20})?")
_URL = re.compile(r"https?://[^\s<>\"'`{}|\\^\x00-\x20]{1,2000}", re.IGNORECASE)
_LOCALE = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|[0-9]{3}))?(?:[-_][A-Za-z0-9]{3,8})*")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_YEARS = range(1970, 2200)
_COUNTRY_NAMES = {"UK": "GB", "EL": "GR"}
_NO_CURRENCY = frozenset({"XTS", "XXX"})


def _identifier(value: object) -> object:
    return value.strip() if type(value) is str else str(value) if type(value) is int else value


@lru_cache(maxsize=4096)  # the same prices come again and again
def _decimal_text(value: str) -> Decimal:
    if not _AMOUNT.fullmatch(value):
        raise ValueError("a decimal number such as 19.90")
    return Decimal(value) or Decimal(0)  # zero has no sign


def _decimal(value: object) -> Decimal:
    if type(value) is str:
        return _decimal_text(value)
    if type(value) is int and -_AMOUNT_LIMIT < value < _AMOUNT_LIMIT:
        number = Decimal(value)
    elif isinstance(value, Decimal) and _fits(value):
        # 1E+2 is told as 100.
        number = value.quantize(Decimal(1)) if cast("int", value.as_tuple().exponent) > 0 else value
    else:
        raise ValueError("a decimal number such as 19.90, below a million millions")
    return number or Decimal(0)


def _fits(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_DECIMALS and -_AMOUNT_LIMIT < number < _AMOUNT_LIMIT


def _quantity(value: object) -> Decimal:
    number = _decimal(value)
    if number <= 0:
        raise ValueError("more than 0")
    return number


def _count(value: object) -> object:
    return int(value) if type(value) is str and value.isascii() and value.isdigit() and len(value) < 10 else value


def _moment(value: object) -> datetime | date:
    try:
        if type(value) is str:
            moment = date.fromisoformat(value) if _DATE.fullmatch(value) else datetime.fromisoformat(value)
            if moment.year in _YEARS:
                return moment
    except ValueError:
        pass
    raise ValueError("a date such as 2026-11-24 or 2026-11-24T09:30:00+01:00")


@lru_cache(maxsize=1024)
def _url(value: str) -> str:
    if not _URL.fullmatch(value):
        raise ValueError("a link that begins with https://")
    return value


@lru_cache(maxsize=1024)
def _locale(value: str) -> str:
    found = _LOCALE.fullmatch(value)
    if not found:
        raise ValueError("a language tag such as nl or de-AT")
    language, script, region = found.groups()
    parts = (language.lower(), script.title() if script else "", region.upper() if region else "")
    return "-".join(part for part in parts if part)


@lru_cache(maxsize=1024)
def _country(value: str) -> str:
    code = value.upper()
    code = _COUNTRY_NAMES.get(code, code)
    if len(code) != 2 or code == "ZZ" or code not in Babel("en").territories:
        raise ValueError("a country code of two letters such as NL")
    return code


@lru_cache(maxsize=1024)
def _currency(value: str) -> str:
    code = value.upper()
    if code not in get_global("all_currencies") or code in _NO_CURRENCY:
        raise ValueError("a currency code of ISO 4217 such as EUR")
    return code


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _base64(value: str) -> str:
    packed = "".join(value.split())
    try:
        binascii.a2b_base64(packed, strict_mode=True)
    except (binascii.Error, ValueError):
        raise ValueError("base64 with padding (RFC 4648)") from None
    return packed


_DATE_SCHEMA: dict[str, Any] = {"type": "string", "description": "RFC 3339; without a zone the shop's zone counts"}
_NUMBER_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "string", "pattern": "^-?[0-9]{1,12}(\\.[0-9]{1,20})?$"}, {"type": "number"}],
    "description": "decimal string or number, never read through a float",
}
_ADDRESS_SCHEMA: dict[str, Any] = {"type": "string", "format": "email", "maxLength": 320}

Text = Annotated[str, Field(max_length=TEXT_LIMIT)]
LongText = Annotated[str, Field(max_length=20_000)]
Id = Annotated[
    str,
    Field(min_length=1, max_length=200),
    BeforeValidator(_identifier),
    WithJsonSchema({"type": ["string", "integer"]}),
]
OptionalId = Annotated[
    str, Field(max_length=200), BeforeValidator(_identifier), WithJsonSchema({"type": ["string", "integer"]})
]
Amount = Annotated[Decimal, PlainValidator(_decimal), WithJsonSchema(_NUMBER_SCHEMA)]
Quantity = Annotated[Decimal, PlainValidator(_quantity), WithJsonSchema(_NUMBER_SCHEMA)]
Count = Annotated[int, Field(ge=0, le=1_000_000), BeforeValidator(_count)]
Moment = Annotated[datetime | date, PlainValidator(_moment), WithJsonSchema(_DATE_SCHEMA)]
Url = Annotated[str, AfterValidator(_url), WithJsonSchema({"type": "string", "format": "uri"})]
Locale = Annotated[str, AfterValidator(_locale)]
Country = Annotated[str, AfterValidator(_country)]
Currency = Annotated[str, AfterValidator(_currency)]
MailAddress = Annotated[str, AfterValidator(read_address), WithJsonSchema(_ADDRESS_SCHEMA)]
Mailbox = Annotated[
    str,
    AfterValidator(read_mailbox),
    WithJsonSchema({"type": "string", "maxLength": 500, "description": "an address, or Name <address>"}),
]
Code = Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
TypeName = Annotated[
    str,
    Field(pattern=r"^[a-z_]{1,40}$"),
    BeforeValidator(_lower),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z_]{1,40}$"}),
]
# The length stands apart: a counted \w would cost the compiled pattern 10 MB.
Purpose = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w.:-]+$")]
ContentType = Annotated[
    str,
    Field(pattern=r"^[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,80}$"),
    BeforeValidator(_lower),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9.+-]{1,60}/[A-Za-z0-9.+-]{1,80}$"}),
]
Base64 = Annotated[str, Field(max_length=4_000_000), AfterValidator(_base64)]
