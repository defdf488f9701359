"""The wheel, not only the checkout: built, installed into an environment of its own, used from another folder."""

from __future__ import annotations

import compileall
import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from command_line import SHOP, Home, fetched, serving, small_templates, status
from handraiser import __version__
from running import an_order, free_port

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [Path(sys.executable).parent / "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python whose handraiser comes from the wheel, and everything else from the environment that runs the tests."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, system_site_packages=False, with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    python = folder / "bin" / "python"
    with zipfile.ZipFile(wheel) as archive:  # a wheel of pure Python is installed by unpacking it
        archive.extractall(packages)
    compileall.compile_dir(packages / "handraiser", quiet=1)  # as installers do, templates' folders included
    others = sysconfig.get_path("purelib")
    (packages / "others.pth").write_text(f"import sys; sys.path.append({others!r})\n")
    return python


def test_the_wheel_holds_code_templates_migrations_and_nothing_else(wheel: Path):
    assert wheel.name == f"handraiser-{__version__}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())

    templates = {
        f"handraiser/templates/{path.relative_to(ROOT / 'templates')}"
        for path in (ROOT / "templates").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    code = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src" / "handraiser").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    rest = {name for name in names if not name.startswith("handraiser/")}
    assert names - rest == templates | code
    assert {name.partition("/")[0] for name in rest} == {f"handraiser-{__version__}.dist-info"}
    assert "handraiser/store/migrations/0001_beginning.sql" in names
    assert "handraiser/core/markets.toml" in names


def test_the_wheel_needs_what_pyproject_declares_and_starts_by_its_name(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        about = archive.read(f"handraiser-{__version__}.dist-info/METADATA").decode()
        starts = archive.read(f"handraiser-{__version__}.dist-info/entry_points.txt").decode()

    needed = {
        line.partition(": ")[2].partition(">")[0] for line in about.splitlines() if line.startswith("Requires-Dist")
    }
    assert {"aiohttp", "mjml-python", "jinja2", "itsdangerous", "aiosqlite", "asyncpg"} <= needed
    assert "handraiser = handraiser.__main__:main" in starts


def test_installed_it_renders_with_the_templates_of_the_wheel(installed: Path, tmp_path: Path):
    (tmp_path / "order.json").write_text(json.dumps(an_order()))
    where = subprocess.run(
        [installed, "-c", "import handraiser.settings as s; print(s.__file__); print(s.load({}).templates)"],
        cwd=tmp_path,
        env=Home(tmp_path).environ,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert all(str(installed.parents[1]) in line for line in where), "the checkout is not what is tested"

    said = subprocess.run(
        [installed, "-W", "error", "-m", "handraiser", "render", "order.json"],
        cwd=tmp_path,
        env=Home(tmp_path).environ,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert (said.returncode, said.stderr) == (0, "")
    assert "Tent" in (tmp_path / "order.html").read_text()
    assert "placed: ask: " in said.stdout


def test_installed_it_serves_its_reference_and_an_email(installed: Path, tmp_path: Path):
    templates = small_templates(tmp_path / "small")
    (tmp_path / "my-shop.toml").write_text(SHOP)
    home = Home(tmp_path, {"HANDRAISER_TEMPLATES_DIR": str(templates)}, python=str(installed))
    compileall.compile_dir(templates, quiet=1)
    home.done("shops", "add", "my-shop.toml")
    key = home.done("keys", "add", "--shop", "my-shop").strip()
    port = free_port()

    with serving(home, port):
        assert status(f"http://127.0.0.1:{port}/docs") == 200
        assert fetched(f"http://127.0.0.1:{port}/v1/emails", key, an_order())["placements"]
