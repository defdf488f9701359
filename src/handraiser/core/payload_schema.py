"""The order payload as types: which fields there are. :mod:`handraiser.core.payload` reads leniently against it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter, with_config
from typing_extensions import TypedDict

from handraiser.core.payload_values import (
    Amount,
    Base64,
    Code,
    ContentType,
    Count,
    Country,
    Currency,
    Id,
    Locale,
    LongText,
    MailAddress,
    Mailbox,
    Moment,
    OptionalId,
    Purpose,
    Quantity,
    Text,
    TypeName,
    Url,
)

TYPES = (
    "order_confirmation",
    "payment_pending",
    "shipping_confirmation",
    "out_for_delivery",
    "ready_for_pickup",
    "delivered",
    "delayed",
    "order_cancelled",
    "refund",
    "return_received",
    "subscription_renewal",
    "contract_withdrawal_received",
)
"""The email types we ship templates for."""

LINES_LIMIT = 1_000

_CLOSED = ConfigDict(extra="forbid", strict=True)
_closed = with_config(_CLOSED)


@_closed
class Address(TypedDict):
    """A postal address; `lines` are street and house number as they are written."""

    name: NotRequired[Text]
    company: NotRequired[Text]
    lines: NotRequired[list[Text]]
    postcode: NotRequired[Text]
    city: NotRequired[Text]
    region: NotRequired[Text]
    country: NotRequired[Country]


@_closed
class Marketing(TypedDict):
    """What the shop itself knows of this customer and one purpose."""

    state: Literal["subscribed", "unsubscribed", "not_subscribed", "unknown"]
    at: NotRequired[Moment]
    source: NotRequired[Text]


@_closed
class Customer(TypedDict):
    """The buyer. `id` is your own id (none for guests); `kind` and `orders_before` say whether it is a first
    purchase."""

    email: MailAddress
    id: NotRequired[OptionalId]
    first_name: NotRequired[Text]
    last_name: NotRequired[Text]
    name: NotRequired[Text]
    salutation: NotRequired[Text]
    company: NotRequired[Text]
    vat_id: NotRequired[Text]
    phone: NotRequired[Text]
    locale: NotRequired[Locale]
    country: NotRequired[Country]
    account: NotRequired[Literal["registered", "guest"]]
    business: NotRequired[bool]
    kind: NotRequired[Literal["new", "current"]]
    age: NotRequired[Count]
    orders_before: NotRequired[Count]
    segments: NotRequired[list[Text]]
    marketing: NotRequired[dict[Purpose, Marketing]]


@_closed
class Option(TypedDict):
    """A choice made for a line, such as a size or a colour."""

    name: Text
    value: Text


@_closed
class Download(TypedDict):
    """A file that belongs to a line."""

    name: Text
    url: Url


@_closed
class Line(TypedDict):
    """One thing bought. `total` is what the line costs in the end; `components` are the parts of a bundle."""

    id: NotRequired[OptionalId]
    sku: NotRequired[Text]
    name: Text
    quantity: NotRequired[Quantity]
    unit: NotRequired[Text]
    unit_price: NotRequired[Amount]
    total: NotRequired[Amount]
    tax_rate: NotRequired[Amount]
    kind: NotRequired[Literal["physical", "digital", "service", "gift_card", "subscription", "fee"]]
    options: NotRequired[list[Option]]
    components: NotRequired[list[Line]]
    downloads: NotRequired[list[Download]]
    image_url: NotRequired[Url]
    url: NotRequired[Url]
    category: NotRequired[Text]


@_closed
class Labelled(TypedDict):
    """An amount with the words that stand before it."""

    label: Text
    amount: Amount


@_closed
class Discount(TypedDict):
    """An amount taken off, with its code where there is one; the sign does not matter."""

    label: Text
    code: NotRequired[OptionalId]
    amount: Amount


@_closed
class Tax(TypedDict):
    """One tax; `rate` is in percent."""

    label: Text
    rate: NotRequired[Amount]
    amount: Amount


@_closed
class GiftCard(TypedDict):
    """What was paid by gift card; only the last digits of its number are shown."""

    label: Text
    last4: NotRequired[OptionalId]
    amount: Amount


@_closed
class Payment(TypedDict):
    """How it is paid, and what is left to do for it."""

    method: NotRequired[Text]
    instructions: NotRequired[LongText]


@_closed
class Order(TypedDict):
    """The order. Amounts are in `currency`; what is left out is not shown, and nothing is computed but missing
    totals."""

    id: Id
    number: NotRequired[OptionalId]
    placed_at: NotRequired[Moment]
    currency: Currency
    prices_include_tax: NotRequired[bool]
    lines: NotRequired[Annotated[list[Line], Field(max_length=LINES_LIMIT)]]
    subtotal: NotRequired[Amount]
    discounts: NotRequired[list[Discount]]
    fees: NotRequired[list[Labelled]]
    shipping_lines: NotRequired[list[Labelled]]
    taxes: NotRequired[list[Tax]]
    gift_cards: NotRequired[list[GiftCard]]
    shipping: NotRequired[Amount]
    discount: NotRequired[Amount]
    tax: NotRequired[Amount]
    total: NotRequired[Amount]
    paid: NotRequired[Amount]
    due: NotRequired[Amount]
    payment: NotRequired[Payment]
    purchase_type: NotRequired[Text]
    channel: NotRequired[Literal["web", "store", "phone", "marketplace"]]
    customer_note: NotRequired[LongText]
    url: NotRequired[Url]
    shipping_address: NotRequired[Address]
    billing_address: NotRequired[Address]


@_closed
class Parcel(TypedDict):
    """One parcel with its carrier and tracking."""

    carrier: NotRequired[Text]
    tracking_number: NotRequired[OptionalId]
    tracking_url: NotRequired[Url]


@_closed
class PartLine(TypedDict):
    """A line of a shipment or refund, named by the order line's `id` or `sku`."""

    id: NotRequired[OptionalId]
    sku: NotRequired[Text]
    name: NotRequired[Text]
    quantity: NotRequired[Quantity]
    total: NotRequired[Amount]


# "from" is a word of Python's own.
Span = TypedDict("Span", {"from": Moment, "to": Moment})
Span.__pydantic_config__ = _CLOSED  # type: ignore[attr-defined]


def _day_or_span(value: object) -> str:
    return "span" if isinstance(value, dict) else "day"


@_closed
class Shipment(TypedDict):
    """What goes on its way together, when it is expected, and what follows later (`remaining`)."""

    parcels: NotRequired[list[Parcel]]
    lines: NotRequired[list[PartLine]]
    estimated_delivery: NotRequired[
        Annotated[Annotated[Span, Tag("span")] | Annotated[Moment, Tag("day")], Discriminator(_day_or_span)]
    ]
    remaining: NotRequired[bool | Annotated[int, Field(ge=0)] | Text]


@_closed
class Pickup(TypedDict):
    """Where the order can be picked up, and the code to say there."""

    name: Text
    address: NotRequired[Address]
    hours: NotRequired[LongText]
    code: NotRequired[OptionalId]
    ready_until: NotRequired[Moment]


@_closed
class Refund(TypedDict):
    """What is paid back, how and why."""

    amount: Amount
    reason: NotRequired[Text]
    lines: NotRequired[list[PartLine]]
    method: NotRequired[Text]


@_closed
class Subscription(TypedDict):
    """The subscription that the order belongs to."""

    id: OptionalId
    next_at: NotRequired[Moment]
    interval: NotRequired[Text]


@_closed
class SoftOptIn(TypedDict):
    """Two facts of your check-out that many countries want before an email may ask: a notice where the address was
    collected, and similar goods of your own."""

    notice_at_collection: NotRequired[bool]
    similar_goods: NotRequired[bool]


@_closed
class Notice(TypedDict):
    """A text or link that must stand in the email: terms, right of withdrawal, identity. No block can move it."""

    title: Text
    text: NotRequired[LongText]
    url: NotRequired[Url]


@_closed
class Attachment(TypedDict):
    """A file for the whole mail (`message/rfc822`); its content in base64."""

    filename: Text
    content_type: ContentType
    base64: Base64


Email = TypedDict(
    "Email",
    {
        "type": TypeName,
        "customer": Customer,
        "to": NotRequired[MailAddress],
        "order": Order,
        "shipments": NotRequired[list[Shipment]],
        "pickup": NotRequired[Pickup],
        "refund": NotRequired[Refund],
        "subscription": NotRequired[Subscription],
        "soft_opt_in": NotRequired[SoftOptIn],
        "notices": NotRequired[list[Notice]],
        "attachments": NotRequired[Annotated[list[Attachment], Field(max_length=10)]],
        "subject": NotRequired[Text],
        "from": NotRequired[Mailbox],
        "reply_to": NotRequired[Mailbox],
        "template": NotRequired[Code],
        "extra": NotRequired[Any],
    },
)
Email.__doc__ = "An order payload: what the email is about, who reads it, and what the ask may depend on."
Email.__pydantic_config__ = _CLOSED  # type: ignore[attr-defined]

EMAIL: TypeAdapter[Email] = TypeAdapter(Email)
