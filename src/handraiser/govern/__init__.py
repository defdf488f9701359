"""Story 6: companies, shops and keys; consents from elsewhere, and what the law lets a customer demand."""

from handraiser.govern.companies import Govern
from handraiser.govern.desk import Desk
from handraiser.govern.feedback import Feedback
from handraiser.govern.imports import CHUNK, Imports
from handraiser.govern.orders import Orders, Told
from handraiser.govern.purposes import Purposes
from handraiser.govern.records import Taken
from handraiser.govern.rights import Rights
from handraiser.govern.status import Status

__all__ = ["CHUNK", "Desk", "Feedback", "Govern", "Imports", "Orders", "Purposes", "Rights", "Status", "Taken", "Told"]
