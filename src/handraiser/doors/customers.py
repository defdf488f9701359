"""``/v1/customers``: everything held of a customer, and its erasure; guests by their address, in the body."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from handraiser.doors.api import read_address
from handraiser.doors.keys import Keys
from handraiser.doors.openapi import Operation, Parameter
from handraiser.doors.web import Problem, json_response
from handraiser.errors import NotFound
from handraiser.govern import Rights
from handraiser.settings import Settings

_NAMED = (Parameter("customer_id", "path", "Your own id of the customer", {"type": "string"}),)


class Customers:
    """Access (GDPR Art. 15) for keys that may read consents, erasure (Art. 17) for those of the administrator."""

    def __init__(self, rights: Rights, keys: Keys, settings: Settings) -> None:
        self._rights = rights
        self._keys = keys
        self._settings = settings

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                "GET",
                "/v1/customers/{customer_id}",
                self.by_id,
                "consents",
                "Everything held of a customer",
                "Access after GDPR Art. 15: under every address the customer has had, in every shop of the company.",
                parameters=_NAMED,
                answer="CustomerData",
                answers=frozenset({404}),
            ),
            Operation(
                "POST",
                "/v1/customers/search",
                self.by_address,
                "consents",
                "Everything held of an address",
                "The same by address, guests included. The address stands in the body, never in a URL.",
                request="Search",
                answer="CustomerData",
                answers=frozenset({404}),
            ),
            Operation(
                "DELETE",
                "/v1/customers/{customer_id}",
                self.erase_by_id,
                "admin",
                "Erase a customer",
                "Erasure after GDPR Art. 17, under every address the customer has had: address, evidence, emails and "
                "orders go. The ledger's entries stay under a pseudonym, and a keyed hash goes on saying “do not ask”.",
                parameters=_NAMED,
                answer="Erased",
                answers=frozenset({404}),
            ),
            Operation(
                "POST",
                "/v1/customers/erase",
                self.erase_by_address,
                "admin",
                "Erase an address",
                "The same by address, guests included.",
                request="Search",
                answer="Erased",
                answers=frozenset({404}),
            ),
        )

    async def by_id(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "consents")
        return json_response(await self._rights.held_of_customer(caller.shop, _customer_id(request)))

    async def by_address(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "consents")
        return json_response(await self._rights.held_of(caller.shop, await read_address(request, self._settings)))

    async def erase_by_id(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "admin")
        self._refuse_test(caller.key.test)
        return json_response({"erased": await self._rights.erase_customer(caller.shop, _customer_id(request))})

    async def erase_by_address(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "admin")
        self._refuse_test(caller.key.test)
        return json_response(
            {"erased": await self._rights.erase(caller.shop, await read_address(request, self._settings))}
        )

    def _refuse_test(self, test: bool) -> None:
        if test:
            raise Problem(403, "A test key erases nobody.")


def _customer_id(request: web.Request) -> str:
    """The id of the path; no customer has one with control characters, which no database takes alike."""
    text = request.match_info["customer_id"]
    if not text.isprintable():
        raise NotFound("nothing is known of this customer")
    return text
