"""Story 3, for tests: drafted and planned, started, weighed anew, stopped, and the arm that is kept, shipped.

Nothing of a running test changes but weights and coverage, which are new versions of themselves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from handraiser.core import assignment
from handraiser.core.assignment import WHOLE, Weights
from handraiser.core.block import BlockVersion
from handraiser.core.experiment import (
    HOLDOUT,
    Arm,
    Design,
    Draft,
    Experiment,
    as_holdout,
    read_draft,
    read_weights,
    unequal,
)
from handraiser.core.shop import Shop
from handraiser.core.statistics.planning import LONGEST, Question, planned
from handraiser.errors import Conflict, Fault, NotFound, Refused, StoreError
from handraiser.store import blocks
from handraiser.store import experiments as store
from handraiser.store.blocks import BlockRow, GoLive
from handraiser.store.database import Database
from handraiser.store.experiments import Change, Shipping, Weighing
from handraiser.store.writer import Writer

DAY_MS = 86_400_000
TRAFFIC_DAYS = 28
"""How far back the traffic is looked at that a plan counts with."""
MOST_HELD_OUT = WHOLE // 2


class Experiments:
    """The tests of a shop, and those of all shops of its company; ``refresh`` brings this process's shelf up to date.

    Every method but the reading ones raises :class:`Conflict` where the test's state does not allow the step, and those
    that name a test :class:`NotFound`.
    """

    def __init__(
        self,
        *,
        database: Database,
        writer: Writer,
        refresh: Callable[[], Awaitable[object]],
        clock: Callable[[], int],
        new_id: Callable[[int], bytes],
    ) -> None:
        self._database, self._writer, self._refresh = database, writer, refresh
        self._clock, self._new_id = clock, new_id

    async def all(self, shop: Shop) -> list[Experiment]:
        """The tests and holdouts that concern a shop, the oldest first."""
        found = await store.of_company(self._database, shop.controller.id)
        return [one for one in found if one.concerns(shop.id)]

    async def one(self, shop: Shop, name: str) -> Experiment:
        """A test by its key or id."""
        found = await store.find(self._database, shop.controller.id, name)
        if found is None or not found.concerns(shop.id):
            raise NotFound("there is no test of this key or id")
        return found

    async def history(self, one: Experiment) -> list[tuple[Weights, int]]:
        """Every version of its weights and since when (ms), the oldest first."""
        return await store.weights_of(self._database, one.controller_id, one.id)

    async def draft(self, shop: Shop, content: Mapping[str, Any], by: str) -> Experiment:
        """Keep a test as a draft, in the place of an earlier draft of its key, and plan it with the shop's traffic.

        Raises :class:`Refused` naming every fault.
        """
        draft = read_draft(content)
        now, company = self._clock(), shop.controller.id
        before = await store.find(self._database, company, draft.key)
        if before is not None and not before.concerns(shop.id):
            raise Refused([Fault("/key", "taken", "another shop's test has this key")])
        arms, shown = await self._pinned(company, draft)
        touchpoints = draft.design.touchpoints or shown.targeting.touchpoints
        design = replace(draft.design, arms=arms, seed=before.design.seed if before else self._new_id(now).hex())
        shop_id = None if draft.all_shops else shop.id
        made = Experiment(
            controller_id=company,
            id=before.id if before else self._new_id(now),
            shop_id=shop_id,
            kind="test",
            key=draft.key,
            name=draft.name or draft.key,
            state="draft",
            design=design,
            weights=draft.weights,
            plan=await self._plan(company, shop_id, touchpoints, draft, now),
            created_at=now,
            created_by=by,
        )
        if not await self._writer.write(store.put, made):
            raise Conflict(f"the test {draft.key} has started: only its weights and coverage can change")
        return await self.one(shop, draft.key)

    async def start(self, shop: Shop, name: str, by: str, *, accept_days: bool = False) -> Experiment:
        """Run a draft. One that would take more than :data:`LONGEST` days starts only with ``accept_days``."""
        draft = await self.one(shop, name)
        days = draft.plan.get("days")
        if draft.state == "draft" and not accept_days and (days is None or days > LONGEST):
            ways = ", ".join(one["kind"] for one in draft.plan["proposals"])
            told = "would never end: nobody came lately" if days is None else f"would take {days} days"
            raise Conflict(f"the test {told}; put the draft anew ({ways}), or start it with accept_days: true")
        return await self._step(shop, name, store.start, replace(draft, started_at=self._clock(), created_by=by))

    async def weigh(self, shop: Shop, name: str, content: Mapping[str, Any], by: str) -> Experiment:
        """New weights or coverage of a running test, from now on and for newcomers; who has an arm keeps it.

        Raises :class:`Refused` naming every fault.
        """
        one = await self._test(shop, name)
        faults = [
            Fault(f"/{field}", "unknown_field", "weights and coverage can change")
            for field in content
            if field not in ("weights", "coverage")
        ]
        weights = read_weights(content, len(one.design.arms), faults, before=one.weights)
        if weights is None:
            raise Refused(faults)
        return await self._step(
            shop, name, store.weigh, Weighing(one.controller_id, one.id, self._clock(), by, weights)
        )

    async def stop(self, shop: Shop, name: str, by: str) -> Experiment:
        """End a running test: what is shown is what was shown before it."""
        one = await self._test(shop, name)
        return await self._step(shop, name, store.stop, Change(one.controller_id, one.id, self._clock(), by))

    async def ship(self, shop: Shop, name: str, arm: object, by: str) -> Experiment:
        """Show an arm (its key) of a stopped test from now on, in every shop of the company, and nothing of the others.

        A variant that is not its block's first becomes the first of a new version. Raises :class:`Refused` for an arm
        that there is not.
        """
        one = await self._test(shop, name)
        number = next((n for n, known in enumerate(one.design.arms) if known.key == arm), None)
        if number is None:
            raise Refused([Fault("/arm", "unknown", f"one of {', '.join(known.key for known in one.design.arms)}")])
        return await self._step(shop, name, store.ship, await self._shipping(one, number, by))

    async def hold_out(self, shop: Shop, share: object, by: str, *, all_shops: bool) -> Experiment:
        """Keep a share (ten-thousandths) of customers from seeing any block, from now on; 0 ends the holdout.

        Who has seen something stays out of it and who is in it stays in, whatever the share becomes. Raises
        :class:`Refused`.
        """
        if type(share) is not int or not 0 <= share <= MOST_HELD_OUT:
            raise Refused([Fault("/share", "bad_value", f"a whole number from 0 to {MOST_HELD_OUT} (half)")])
        key = HOLDOUT if all_shops else f"{HOLDOUT}-{shop.slug}"
        now, company = self._clock(), shop.controller.id
        one = await store.find(self._database, company, key)
        if one is None:
            design = as_holdout(self._new_id(now).hex())
            one = Experiment(
                controller_id=company,
                id=self._new_id(now),
                shop_id=None if all_shops else shop.id,
                kind="holdout",
                key=key,
                name=key,
                state="draft",
                design=design,
                weights=assignment.holdout(1, share),
                plan={},
                created_at=now,
                created_by=by,
            )
            await self._writer.write(store.put, one)
            one = await self.one(shop, key)
        first = one.started_at is None
        weights = assignment.holdout(1 if first else one.weights.version + 1, share)
        if share == 0:
            return await self._step(shop, key, store.stop, Change(company, one.id, now, by)) if not first else one
        if one.state == "running":
            return await self._step(shop, key, store.weigh, Weighing(company, one.id, now, by, weights))
        return await self._step(shop, key, store.start, replace(one, weights=weights, started_at=now, created_by=by))

    async def _test(self, shop: Shop, name: str) -> Experiment:
        one = await self.one(shop, name)
        if one.kind != "test":
            raise Conflict("a holdout is changed by its share")
        return one

    async def _step(self, shop: Shop, name: str, method: Any, row: Any) -> Experiment:
        """One step in one transaction; this process shows it when this returns, every other within two seconds."""
        await self._writer.write(method, row)
        with contextlib.suppress(StoreError):  # the step is kept; the next poll shows it
            await self._refresh()
        return await self.one(shop, name)

    async def _pinned(self, controller_id: bytes, draft: Draft) -> tuple[tuple[Arm, ...], BlockVersion]:
        """The arms with the versions and variants they pin, and one of their blocks; :class:`Refused` otherwise."""
        faults: list[Fault] = []
        arms: list[Arm] = []
        shown: list[BlockVersion | None] = []
        for n, arm in enumerate(draft.design.arms):
            if arm.block is None:
                arms.append(arm)
                shown.append(None)
                continue
            rows = await blocks.versions(self._database, controller_id, arm.block)
            fitting = (row for row in rows if (row.version == arm.version if arm.version else row.live))
            row = next(fitting, None) or (rows[0] if rows and not arm.version else None)
            block = BlockVersion.from_json(row.content) if row else None
            keys = [variant.key for variant in block.variants] if block else []
            if block is None:
                faults.append(Fault(f"/arms/{n}/block", "unknown", "the company has no such block, or version of it"))
            elif arm.variant and arm.variant not in keys:
                faults.append(Fault(f"/arms/{n}/variant", "unknown", f"the block has {', '.join(keys)}"))
            else:
                variant = arm.variant or block.first_variant().key
                arms.append(Arm(arm.key, arm.block, block.block_id.hex(), block.version, variant))
                shown.append(block)
        told = [block for block in shown if block is not None]
        known = await blocks.purposes(self._database, controller_id)
        if not any(row.live and row.slug == draft.design.purpose for row in known):
            faults.append(Fault("/purpose", "unknown", "the company has no purpose of this name"))
        if not faults:
            faults += _crossed(arms, shown, draft.design)
        if faults:
            raise Refused(faults)
        return tuple(arms), told[0]

    async def _plan(
        self, controller_id: bytes, shop_id: bytes | None, touchpoints: tuple[str, ...], draft: Draft, now: int
    ) -> dict[str, Any]:
        """Size and days at the traffic of the last four weeks, and what would be shorter; raises :class:`Refused`."""
        design, since = draft.design, now - TRAFFIC_DAYS * DAY_MS
        seen = await store.traffic(self._database, controller_id, shop_id, touchpoints, design.purpose, since)
        per_day = seen.subjects / max(1.0, (now - seen.first) / DAY_MS)
        rate = draft.rate or (seen.granted / seen.subjects if seen.subjects else 0.0)
        if not rate:
            raise Refused([Fault("/rate", "missing", "nobody said yes here lately: say which rate you expect (0.03)")])
        try:
            question = Question(rate, design.mde, design.window)
        except ValueError:
            raise Refused(
                [Fault("/mde", "bad_value", f"more than all would say yes: {rate:.4f} is the rate")]
            ) from None
        plan = planned(question, draft.weights, per_day)
        return {
            "rate": rate,
            "per_day": round(per_day, 2),
            "subjects": plan.subjects,
            "days": plan.days,
            "proposals": [{"kind": one.kind, "value": one.value} for one in plan.proposals],
        }

    async def _shipping(self, one: Experiment, number: int, by: str) -> Shipping:
        """What becomes live with an arm; raises :class:`Conflict` when its block has a newer version."""
        arm, now = one.design.arms[number], self._clock()
        others = {known.block_id: bytes.fromhex(known.block_id) for known in one.design.arms if known.block}
        others.pop(arm.block_id, None)
        off = tuple(others.values())
        if arm.block is None:
            return Shipping(one.controller_id, one.id, now, by, number, off=off)
        versions = await blocks.versions(self._database, one.controller_id, arm.block)
        if versions[0].version != arm.version:
            raise Conflict(f"{arm.block} has version {versions[0].version} by now; publish what is to be shown instead")
        block = BlockVersion.from_json(versions[0].content)
        if block.first_variant().key == arm.variant:
            live = GoLive(one.controller_id, block.block_id, block.version)
            return Shipping(one.controller_id, one.id, now, by, number, live=live, off=off)
        block = replace(
            block,
            version=block.version + 1,
            variants=tuple(sorted(block.variants, key=lambda variant: variant.key != arm.variant)),
        )
        row = BlockRow(
            controller_id=one.controller_id,
            block_id=block.block_id,
            slug=block.slug,
            version=block.version,
            content=block.to_json(),
            hash=block.hash(),
            legal_class=block.legal_class,
            created_at=now,
            created_by=by,
            live=True,
        )
        return Shipping(one.controller_id, one.id, now, by, number, row=row, off=off)


def _crossed(arms: list[Arm], shown: list[BlockVersion | None], design: Design) -> list[Fault]:
    """What is wrong with arms that each stand alone."""
    faults = []
    if differing := unequal(shown):
        detail = f"the arms' blocks differ in {', '.join(differing)}, so their customers would"
        faults.append(Fault("/arms", "unequal", detail))
    if len({(arm.block, arm.version, arm.variant) for arm in arms}) < len(arms):
        faults.append(Fault("/arms", "bad_value", "each arm shows something else; one of them may show nothing"))
    if any(one and one.kind == "opt_in" and one.purpose != design.purpose for one in shown):
        faults.append(Fault("/purpose", "bad_value", "the arms ask for another purpose than is counted"))
    versions: dict[str, set[int]] = {}
    for arm in arms:
        versions.setdefault(arm.block_id, set()).add(arm.version)
    if any(len(one) > 1 for one in versions.values()):
        faults.append(Fault("/arms", "bad_value", "the arms pin one version of each block"))
    return faults
