"""Story 2: one press in, one consent, refusal or goodbye kept.

Opening a link changes nothing. "Yes" grants only with positive evidence of a person; leaving needs a link and nothing
else, and is kept in a journal while the database is gone.
"""

from handraiser.answer.asks import ASKS, Ask, Opened, Visit
from handraiser.answer.centre import Centre, Offer
from handraiser.answer.order_links import OrderDoor
from handraiser.answer.preferences import Changed, Wanted, Wish
from handraiser.answer.presses import GIVES, Action, Answer, Told

__all__ = [
    "ASKS",
    "GIVES",
    "Action",
    "Answer",
    "Ask",
    "Centre",
    "Changed",
    "Offer",
    "Opened",
    "OrderDoor",
    "Told",
    "Visit",
    "Wanted",
    "Wish",
]
