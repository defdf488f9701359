"""What a rule tells of a mail, in the words of an order payload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handraiser.core.rules.file import Rule

_CUSTOMER = {"customer_id": "id", "language": "locale", "country": "country", "customer_kind": "kind"}
_ORDER = {"order_number": "id", "order_value": "total", "currency": "currency"}


def context_of(rule: Rule, values: Mapping[str, str]) -> dict[str, Any]:
    """``{type, customer, order, soft_opt_in?}`` of what :func:`extract` read out; the customer's address is not known
    here."""
    context: dict[str, Any] = {
        "type": rule.type,
        "customer": {ours: values[name] for name, ours in _CUSTOMER.items() if name in values},
        "order": {ours: values[name] for name, ours in _ORDER.items() if name in values},
    }
    if rule.soft_opt_in is not None:
        context["soft_opt_in"] = {
            name: getattr(rule.soft_opt_in, name) for name in ("notice_at_collection", "similar_goods")
        }
    return context


def declared(rule: Rule) -> dict[str, str]:
    """Who answers for the rule's soft opt-in facts, since when, and under which text of the check-out."""
    facts = rule.soft_opt_in
    if facts is None:
        return {}
    return {
        "rule": rule.id,
        "approved_by": facts.approved_by,
        "approved_on": facts.approved_on.isoformat(),
        "checkout_text": facts.checkout_text,
    }
