"""The desk where other systems and customers come: records, proof, rights and purposes of every company, built once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from handraiser.core.links import Links
from handraiser.govern.feedback import Feedback
from handraiser.govern.imports import Imports, told_rows
from handraiser.govern.orders import Orders
from handraiser.govern.proof import Proof
from handraiser.govern.purposes import Purposes
from handraiser.govern.records import Records
from handraiser.govern.rights import Rights
from handraiser.govern.status import Status
from handraiser.store.database import Database
from handraiser.store.subjects import Sealer
from handraiser.store.writer import Writer


@dataclass(frozen=True, slots=True)
class Desk:
    """What is done for other systems and for customers who demand their rights."""

    COMMANDS: ClassVar[frozenset[str]] = frozenset(
        {
            "consents.import_begin",
            "consents.import_rows",
            "consents.import_end",
            "consents.page",
            "orders.import_begin",
            "orders.import_rows",
            "orders.import_end",
            "customers.export",
            "customers.erase",
            "shops.status",
        }
    )

    records: Records
    proof: Proof
    rights: Rights
    purposes: Purposes
    imports: Imports
    orders: Orders
    status: Status
    feedback: Feedback

    @classmethod
    def of(
        cls,
        database: Database,
        writer: Writer,
        *,
        links: Links,
        sealer: Sealer,
        pepper: tuple[int, bytes],
        clock: Callable[[], int],
        new_id: Callable[[int], bytes],
    ) -> Desk:
        """``pepper`` is (id, secret), as it finds mailboxes."""
        records = Records(database=database, writer=writer, sealer=sealer, pepper=pepper, clock=clock, new_id=new_id)
        return cls(
            records,
            Proof(database, links, clock),
            Rights(database=database, writer=writer, sealer=sealer, pepper=pepper[1], clock=clock, new_id=new_id),
            Purposes(database, writer, clock),
            Imports(database=database, writer=writer, records=records, sealer=sealer, clock=clock),
            Orders(writer=writer, sealer=sealer, pepper=pepper, clock=clock, new_id=new_id),
            Status(database, clock),
            Feedback(database, writer, pepper[1], clock),
        )

    async def command(self, name: str, arguments: dict[str, Any]) -> Any:
        """One command of the CLI, answered in JSON's types; raises :class:`NotFound`."""
        if name == "shops.status":
            return await self.status.command(arguments["slug"])
        if name == "orders.import_rows":
            shop, import_id = await self.imports.shop(arguments["shop"]), bytes.fromhex(arguments["import_id"])
            rows = told_rows(arguments)
            run = await self.orders.take_file(shop, rows, import_id=import_id, start=arguments["start"])
            return asdict(replace(run, faults=list(run.faults)))
        if name.startswith("orders."):
            return asdict(await self.imports.done(arguments["shop"], bytes.fromhex(arguments["import_id"])))
        if not name.startswith("customers."):
            return await self.imports.command(name, arguments)
        shop = await self.imports.shop(arguments["shop"])
        whom = arguments["customer"]
        if name == "customers.export":
            by = self.rights.held_of if "@" in whom else self.rights.held_of_customer
            return await by(shop, whom)
        gone = self.rights.erase if "@" in whom else self.rights.erase_customer
        return {"erased": await gone(shop, whom)}
