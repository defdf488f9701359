"""A typing error in a setting stops the start; a secret is never shown."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from handraiser.errors import SettingsRefused
from handraiser.settings import Settings, load

SECRET = "s3cret-s3cret-s3cret-s3cret-s3cret-s3cret"


def pointers(environ: dict[str, str], file: Path | None = None) -> list[str]:
    return sorted(fault.pointer for fault in refused(environ, file).faults)


def refused(environ: dict[str, str], file: Path | None = None) -> SettingsRefused:
    with pytest.raises(SettingsRefused) as caught:
        load(environ, file)
    return caught.value


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_anything_set_the_service_starts_on_a_file_beside_its_state():
    settings = load({})
    assert settings.database == f"sqlite:///{Path.cwd() / '.state' / 'handraiser.db'}"
    assert (settings.host, settings.port, settings.origin) == ("127.0.0.1", 8025, "http://127.0.0.1:8025")
    assert settings.keys("signing_keys") == ()
    assert (settings.templates / "emails").is_dir()


def test_the_environment_wins_over_the_file_and_a_command_over_both(tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text('message_days = 40\nlisten = "127.0.0.1:1"\ntrusted_proxies = ["10.0.0.0/8"]\n')
    settings = load({"HANDRAISER_LISTEN": "[::1]:2", "PATH": "/bin", "handraiser_listen": "x"}, file, message_days=50)
    assert (settings.message_days, settings.host, settings.port) == (50, "::1", 2)
    assert settings.trusted_proxies == ("10.0.0.0/8",)


def test_handraiser_toml_in_the_working_folder_is_read_when_it_is_there():
    Path("handraiser.toml").write_text("batch_lines = 7\n")
    assert load({}).batch_lines == 7


def test_a_file_that_was_named_must_be_there(tmp_path: Path):
    assert pointers({}, tmp_path / "missing.toml") == [str(tmp_path / "missing.toml")]


def test_an_unknown_name_is_an_error_with_a_suggestion():
    (fault,) = refused({"HANDRAISER_MESAGE_DAYS": "90"}).faults
    assert (fault.pointer, fault.code) == ("mesage_days", "unknown_setting")
    assert "did you mean message_days?" in fault.detail
    assert pointers({"HANDRAISER_TEST_DATABASE": "x", "HANDRAISER_FOO_FILE": "/x"}) == ["foo_file", "test_database"]
    load({"HANDRAISER_TEST_DATABASE_URL": "postgresql://x"})


def test_all_faults_are_told_at_once(tmp_path: Path):
    file = tmp_path / "h.toml"
    file.write_text("colour = 1\nbatch_lines = 0\n")
    environ = {
        "HANDRAISER_MESSAGE_DAYS": "34",
        "HANDRAISER_DATABASE_URL": "mysql://x",
        "HANDRAISER_LISTEN": "here",
        "HANDRAISER_PEPPER_FILE": "/nowhere/at/all",
        "HANDRAISER_LOG_LEVEL": "LOUD",
        "HANDRAISER_TRUSTED_PROXIES": "10.0.0.0/8, everyone",
    }
    assert pointers(environ, file) == [
        "HANDRAISER_PEPPER_FILE",
        "batch_lines",
        "colour",
        "database_url",
        "listen",
        "log_level",
        "message_days",
        "trusted_proxies",
    ]


@pytest.mark.parametrize(
    "url", ["http://hop", "smtp://", "hop:25", "smtp://hop:0", "smtp://hop:99999", "smtp://user@hop", "smtps://hop/x"]
)
def test_a_hop_that_cannot_be_one_is_refused_without_repeating_it(url: str):
    (fault,) = refused({"HANDRAISER_SMTP_URL": url}).faults

    assert fault.pointer == "smtp_url"
    assert "smtps://user:password@host" in fault.detail


@pytest.mark.parametrize("url", ["", "smtp://127.0.0.1:2525", "smtps://shop:p%40ss@hop.example"])
def test_a_hop_is_host_port_and_login(url: str):
    assert load({"HANDRAISER_SMTP_URL": url}).smtp_url == url


@pytest.mark.parametrize("days", [35, 90])
def test_messages_are_kept_longer_than_their_links_live(days: int):
    assert load({"HANDRAISER_MESSAGE_DAYS": str(days)}).message_days == days
    (fault,) = refused({"HANDRAISER_MESSAGE_DAYS": "34"}).faults
    assert "at least 35" in fault.detail


def test_a_secret_is_read_from_a_file(tmp_path: Path):
    (tmp_path / "keys").write_text(f"1:{SECRET},2:{SECRET}x\n")
    settings = load({"HANDRAISER_SIGNING_KEYS_FILE": str(tmp_path / "keys")})
    assert settings.keys("signing_keys") == ((1, SECRET.encode(), False), (2, f"{SECRET}x".encode(), False))


def test_a_secret_given_twice_is_refused(tmp_path: Path):
    (tmp_path / "pepper").write_text(f"1:{SECRET}")
    environ = {"HANDRAISER_PEPPER": f"1:{SECRET}", "HANDRAISER_PEPPER_FILE": str(tmp_path / "pepper")}
    assert [(fault.pointer, fault.code) for fault in refused(environ).faults] == [("HANDRAISER_PEPPER_FILE", "twice")]


def test_a_secret_file_that_is_no_text_is_a_fault(tmp_path: Path):
    (tmp_path / "pepper").write_bytes(b"\xff\xfe")
    assert pointers({"HANDRAISER_PEPPER_FILE": str(tmp_path / "pepper")}) == ["HANDRAISER_PEPPER_FILE"]


@pytest.mark.parametrize("name", ["signing_keys", "data_keys", "pepper"])
@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"x:{SECRET}",
        f"256:{SECRET}",
        f"²:{SECRET}",
        "1:short",
        f"1:{SECRET}:whatever",
        f"1:{SECRET} {SECRET}",
        f"1:{SECRET},1:{SECRET}x",
        f"1:{SECRET}\udcff",
        f"1:{SECRET},",
        "",
    ],
)
def test_a_faulty_key_is_refused_without_being_shown(name: str, text: str):
    error = refused({f"HANDRAISER_{name.upper()}": text})
    assert [fault.pointer for fault in error.faults] == [name]
    assert SECRET not in str(error) + repr(error.faults)


def test_an_old_key_may_verify_withdrawals_only_but_one_key_must_sign():
    old = f"1:{SECRET}:withdraw-only"
    keys = load({"HANDRAISER_SIGNING_KEYS": f"{old}, 2:{SECRET}x"}).keys("signing_keys")
    assert keys == ((1, SECRET.encode(), True), (2, f"{SECRET}x".encode(), False))
    assert pointers({"HANDRAISER_SIGNING_KEYS": old}) == ["signing_keys"]
    assert pointers({"HANDRAISER_DATA_KEYS": old, "HANDRAISER_PEPPER": old}) == ["data_keys", "pepper"]


def test_there_is_one_pepper():
    assert pointers({"HANDRAISER_PEPPER": f"1:{SECRET},2:{SECRET}x"}) == ["pepper"]


def test_secrets_stand_in_no_text_of_the_settings(caplog: pytest.LogCaptureFixture):
    keys = f"1:{SECRET}"
    settings = Settings(
        signing_keys=keys, data_keys=keys, pepper=keys, database_url=f"postgresql://hr:{SECRET}@db/handraiser"
    )
    with caplog.at_level(logging.INFO):
        logging.getLogger("handraiser").info("%s %r", settings, settings)
    assert SECRET not in caplog.text
    error = refused(
        {"HANDRAISER_DATABASE_URL": f"mysql://hr:{SECRET}@db", "HANDRAISER_LISTEN": SECRET, "HANDRAISER_PEPPER": SECRET}
    )
    assert SECRET not in f"{error} {error!r} {error.faults}"


def test_a_secret_of_the_wrong_type_in_the_file_is_not_shown(tmp_path: Path):
    file = tmp_path / "h.toml"
    file.write_text(f'pepper = ["{SECRET}"]\n[signing_keys]\n1 = "{SECRET}"\n')
    error = refused({}, file)
    assert sorted(fault.pointer for fault in error.faults) == ["pepper", "signing_keys"]
    assert SECRET not in str(error)


@pytest.mark.parametrize(
    "url",
    ["mail.shop.example", "https://", "https://a.example/path", "https://u:p@a.example", "https://a b", "ftp://a"],
)
def test_a_public_url_is_an_origin(url: str):
    assert pointers({"HANDRAISER_PUBLIC_URL": url}) == ["public_url"]
    assert load({"HANDRAISER_PUBLIC_URL": "https://mail.shop.example:8443/"}).origin == "https://mail.shop.example:8443"


@pytest.mark.parametrize("listen", ["8025", ":8025", "host:", "host:65536", "host:²", "host:8025x"])
def test_listen_is_host_and_port(listen: str):
    assert pointers({"HANDRAISER_LISTEN": listen}) == ["listen"]


def test_every_setting_is_described():
    undescribed = [name for name, one in Settings.model_fields.items() if len(one.description or "") < 15]
    assert undescribed == []


def test_settings_are_never_changed_after_the_start():
    changed: Any = load({})
    with pytest.raises(ValueError):
        changed.message_days = 40


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"relay_next_hop": "http://hop.example"}, "smtp://host:port"),
        ({"relay_listen": "2525"}, "host:port"),
        ({"relay_peers": "10.0.0.0/8, 198.51.100.0/33"}, "198.51.100.0/33"),
        ({"relay_peers": "0.0.0.0/0"}, "no private network"),
        ({"relay_users": "shop:short"}, "at least 12 characters"),
        ({"relay_users": "shop:" + SECRET + ",shop:" + SECRET}, "each name once"),
        ({"relay_users": "shop:" + SECRET}, "nobody could log in"),
        ({"relay_tls_required": "true"}, "needs relay_tls_certificate"),
        ({"relay_name": "no name"}, "pattern"),
        ({"relay_data_seconds": "600"}, "540"),
    ],
)
def test_a_relay_that_would_be_open_or_shut_for_everybody_is_refused(given: dict[str, str], words: str):
    told = str(refused({f"HANDRAISER_{name.upper()}": value for name, value in given.items()}))

    assert words in told
    assert SECRET not in told


def test_a_relay_may_be_reached_from_anywhere_by_those_who_log_in():
    users = {"HANDRAISER_RELAY_USERS": "shop:" + SECRET, "HANDRAISER_RELAY_AUTH_WITHOUT_TLS": "true"}
    settings = load({"HANDRAISER_RELAY_PEERS": "0.0.0.0/0,::/0", "HANDRAISER_RELAY_LISTEN": "[::1]:25", **users})

    assert settings.relay_peers == ("0.0.0.0/0", "::/0")
    assert settings.relay_host_and_port == ("::1", 25)
    assert SECRET not in repr(settings)
