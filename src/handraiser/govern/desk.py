"""The desk where other systems and customers come: records, proof, rights and purposes of every company, built once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from handraiser.core.links import Links
from handraiser.govern.proof import Proof
from handraiser.govern.purposes import Purposes
from handraiser.govern.records import Records
from handraiser.govern.rights import Rights
from handraiser.store.database import Database
from handraiser.store.subjects import Sealer
from handraiser.store.writer import Writer


@dataclass(frozen=True, slots=True)
class Desk:
    """What is done for other systems and for customers who demand their rights."""

    records: Records
    proof: Proof
    rights: Rights
    purposes: Purposes

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
        return cls(
            Records(database=database, writer=writer, sealer=sealer, pepper=pepper, clock=clock, new_id=new_id),
            Proof(database, links, clock),
            Rights(database=database, writer=writer, sealer=sealer, pepper=pepper[1], clock=clock, new_id=new_id),
            Purposes(database, writer, clock),
        )
