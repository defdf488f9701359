"""The alert rules that come with the service name metrics it has, and fire when they should, as Prometheus says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from handraiser.telemetry import Metrics

ROOT = Path(__file__).parents[1]
ALERTS = ROOT / "docs" / "alerts.yml"


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = shutil.which("promtool") or str(Path(sys.executable).with_name("promtool"))
    return subprocess.run([command, *arguments], capture_output=True, text=True, check=False)


def test_every_metric_and_label_in_a_rule_is_one_that_the_service_tells():
    told = {
        f"{family.name}{suffix}"
        for family in Metrics().registry.collect()
        for suffix in ({"counter": "_total"}.get(family.type, ""),)
    }
    named = set(re.findall(r"\bhandraiser_\w+", ALERTS.read_text()))

    assert named <= told
    assert len(named) >= 8


@pytest.mark.promtool
def test_prometheus_takes_the_rules():
    ended = promtool("check", "rules", str(ALERTS))
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.promtool
def test_each_rule_fires_when_it_should_and_only_then(tmp_path: Path):
    played = tmp_path / "alerts.yml"
    played.write_text((ROOT / "tests" / "alerts.yml").read_text().replace("ALERTS", str(ALERTS)))

    ended = promtool("test", "rules", str(played))

    assert ended.returncode == 0, ended.stdout + ended.stderr
