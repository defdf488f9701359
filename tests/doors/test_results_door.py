"""``GET /v1/experiments/{id}/results`` before anything was counted, and to whom it says nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from programs import Programs
from running import Running, running, settings_for

BLOCK = "newsletter-after-order"
TEST = {
    "key": "wording",
    "purpose": "offers",
    "rate": 0.05,
    "arms": [{"key": "nothing", "block": None}, {"key": "shown", "block": BLOCK}],
}
AT = "/v1/experiments/wording/results"


@pytest.fixture
async def house(tmp_path: Path, compiled: Programs) -> AsyncIterator[Running]:
    async with running(settings_for(tmp_path, f"sqlite:///{tmp_path / 'h.db'}"), compiled) as one:
        status, _ = await one.post("/v1/experiments", TEST)
        assert status == 200
        yield one


async def test_results_are_told_by_key_or_id_to_the_shops_of_the_company_alone(house: Running):
    status, told = await house.get(AT)
    assert (status, told["state"], told["computed_at"], told["days_left"]) == (200, "no_data", None, None)
    assert [one["arm"] for one in told["arms"]] == ["nothing", "shown"]
    assert (await house.get(f"/v1/experiments/{told['experiment_id']}/results"))[1] == told

    assert (await house.get(AT, shop="boats"))[0] == 404
    assert (await house.get("/v1/experiments/another/results"))[0] == 404
    house.keys["tents"] = await house.service.govern.add_key("tents", ["blocks"])
    status, problem = await house.get(AT)
    assert (status, problem["detail"]) == (403, "This key lacks the scope “reports”.")


async def test_bayesian_numbers_are_asked_for_by_name(house: Running):
    assert "bayes" not in (await house.get(AT))[1]
    assert "description only" in (await house.get(f"{AT}?detail=bayes"))[1]["bayes"]["note"]
    status, problem = await house.get(f"{AT}?detail=everything")
    assert (status, problem["errors"][0]["pointer"]) == (422, "detail")
