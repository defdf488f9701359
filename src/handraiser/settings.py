"""What the operator sets: ``HANDRAISER_*`` variables, ``HANDRAISER_*_FILE`` for secrets, or ``handraiser.toml``.

A variable wins over the file. Unknown names are errors, and all faults are told at once: a typing error must stop the
start, not change the behaviour of a running service.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from handraiser.errors import Fault, SettingsRefused

PREFIX = "HANDRAISER_"
TEST_DATABASE = "HANDRAISER_TEST_DATABASE_URL"
"""Names the tests' PostgreSQL; no setting of the service."""

LINK_LIFE_DAYS = 30


def _key_list(value: str, *, withdraw_only: bool = False) -> str:
    seen = set()
    for part in value.split(","):
        kid, _, rest = part.strip().partition(":")
        secret, colon, flag = rest.partition(":")
        if not re.fullmatch("[0-9]{1,3}", kid, re.ASCII) or int(kid) > 255:
            raise ValueError("each key is kid:secret, kid a number from 0 to 255")
        if not re.fullmatch("[!-~]{32,}", secret):
            raise ValueError("a secret has at least 32 printable characters, no space, comma or colon among them")
        if colon and not (withdraw_only and flag == "withdraw-only"):
            raise ValueError("nothing may follow a secret" + (" but withdraw-only" if withdraw_only else ""))
        if int(kid) in seen:
            raise ValueError(f"kid {int(kid)} stands there twice; a kid is never used again")
        seen.add(int(kid))
    return value


def _signing_keys(value: str) -> str:
    _key_list(value, withdraw_only=True)
    if all(part.strip().endswith(":withdraw-only") for part in value.split(",")):
        raise ValueError("at least one key must sign new links: not every key can be withdraw-only")
    return value


KeyList = Annotated[str, AfterValidator(_key_list)]
SigningKeys = Annotated[str, AfterValidator(_signing_keys)]


class Settings(BaseModel):
    """Every setting with its unit and default; documented in ``docs/operations.md``."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    state_dir: Path = Field(
        Path(".state"), description="folder for the embedded database, journals and the demo's keys"
    )
    database_url: str = Field("", repr=False, description="sqlite:///file or postgresql://…; empty = in state_dir")
    database_pooler: bool = Field(
        False, description="a transaction pooler stands before PostgreSQL: no statement cache"
    )
    listen: str = Field("127.0.0.1:8025", description="host:port of the HTTP door")
    public_url: str = Field("", description="origin under which customers reach us; empty = http:// + listen")
    signing_keys: SigningKeys = Field("", repr=False, description="kid:secret[:withdraw-only],… oldest first")
    data_keys: KeyList = Field("", repr=False, description="kid:secret,… that seal addresses at rest, oldest first")
    pepper: KeyList = Field("", repr=False, description="id:secret that keys the look-up hash of addresses")
    smtp_url: str = Field(
        "", repr=False, description="smtp[s]://[user:password@]host[:port] that takes our own confirmation mails"
    )
    templates_dir: Path | None = Field(None, description="own templates instead of the built-in ones")
    relay_listen: str = Field("127.0.0.1:2525", description="host:port of the SMTP door of serve --relay")
    relay_next_hop: str = Field(
        "", repr=False, description="smtp[s]://[user:password@]host[:port] that takes the relay's mail"
    )
    relay_next_hop_tls: Literal["auto", "verify", "off"] = Field(
        "auto", description="STARTTLS to the next hop: where it is offered, always with a checked certificate, or never"
    )
    relay_name: str = Field(
        "",
        pattern=r"^[A-Za-z0-9.-]{0,253}$",
        description="the relay's name in greetings and Received; empty = the host's",
    )
    relay_peers: tuple[str, ...] = Field(
        (), description="networks (CIDR) that may send to the relay; none = this machine"
    )
    relay_users: str = Field(
        "", repr=False, description="name:password,… who must log in to the relay; empty = nobody must"
    )
    relay_auth_without_tls: bool = Field(False, description="passwords may come to the relay in the clear")
    relay_tls_certificate: Path | None = Field(None, description="PEM chain with which the relay offers STARTTLS")
    relay_tls_key: Path | None = Field(
        None, description="PEM private key of relay_tls_certificate; none = in the same file"
    )
    relay_tls_required: bool = Field(False, description="the relay takes no mail without STARTTLS")
    mail_bytes: int = Field(26_214_400, ge=100_000, le=200_000_000, description="largest finished mail taken, bytes")
    enrich_bytes: int = Field(5_000_000, ge=10_000, le=25_000_000, description="largest mail enriched, bytes")
    enrich_seconds: float = Field(2.0, gt=0, le=30, description="longest time for one step of enriching, seconds")
    enrich_workers: int = Field(2, ge=1, le=64, description="processes in which finished mail is read and enriched")
    relay_sessions: int = Field(200, ge=1, le=10_000, description="most SMTP sessions at a time")
    relay_connections: int = Field(20, ge=1, le=1_000, description="most connections to the next hop at a time")
    relay_hop_seconds: float = Field(
        30.0, gt=0, le=300, description="longest wait for the next hop, but for its answer to a mail, seconds"
    )
    relay_data_seconds: float = Field(
        240.0, gt=0, le=540, description="longest wait for the next hop's answer to a mail, seconds"
    )
    trusted_proxies: tuple[str, ...] = Field((), description="networks (CIDR) whose X-Forwarded-For and -Proto count")
    hosting_networks: tuple[str, ...] = Field(
        (), description="networks (CIDR) of data centres: a visit from there is doubted, never refused"
    )
    body_limit_bytes: int = Field(2_000_000, ge=10_000, le=50_000_000, description="largest request body, bytes")
    body_seconds: float = Field(10.0, gt=0, le=120, description="longest time a body may take to arrive, seconds")
    batch_lines: int = Field(10_000, ge=1, le=1_000_000, description="most lines of one batch request")
    batch_parallel: int = Field(32, ge=1, le=256, description="lines of one batch worked on at a time")
    queue_limit: int = Field(4096, ge=16, le=100_000, description="writes that may wait before 503")
    store_seconds: float = Field(2.0, gt=0, le=30, description="longest wait for the database before it counts as down")
    database_connections: int = Field(8, ge=2, le=100, description="most connections of a process to PostgreSQL")
    lock_seconds: float = Field(
        1.0, gt=0, le=30, description="longest wait for another transaction's lock; then the transaction is tried again"
    )
    compile_seconds: float = Field(10.0, gt=0, le=120, description="longest time one template may take to compile")
    compile_bytes: int = Field(1_000_000_000, ge=100_000_000, description="memory limit of the compile process, bytes")
    message_days: int = Field(90, le=36_500, description="days a message row is kept; at least 35, links live 30")
    idempotency_hours: int = Field(48, ge=48, le=24 * 30, description="hours an Idempotency-Key is remembered")
    seal_seconds: float = Field(
        10.0, ge=1, le=3600, description="time between two looks for ledger entries to seal, seconds"
    )
    results_seconds: float = Field(
        300.0, ge=1, le=86_400, description="time between two countings of experiments and customers, seconds"
    )
    drain_seconds: float = Field(
        5.0, ge=0, le=120, description="time between readiness going down and the doors closing"
    )
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least severe log line written")

    @field_validator("trusted_proxies", "hosting_networks", "relay_peers", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies", "hosting_networks", "relay_peers")
    @classmethod
    def _valid_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value

    @field_validator("listen", "relay_listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not re.fullmatch("[0-9]{1,5}", port, re.ASCII) or int(port) > 65535:
            raise ValueError("write host:port")
        return value

    @field_validator("public_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+/?", value):
            raise ValueError("write an origin such as https://mail.shop.example")
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:///", "postgresql://", "postgres://")):
            raise ValueError("write sqlite:///file or postgresql://user@host/name")
        return value

    @field_validator("smtp_url", "relay_next_hop")
    @classmethod
    def _hop(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        wanted = "write smtp://host:port or smtps://user:password@host"
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError(wanted)
        try:
            port = parts.port
        except ValueError:
            raise ValueError(wanted) from None
        if port == 0 or (parts.username is None) != (parts.password is None):
            raise ValueError(wanted)
        return value

    @field_validator("relay_users")
    @classmethod
    def _users(cls, value: str) -> str:
        names = [part.partition(":")[0] for part in value.split(",")] if value else []
        if value and not all(re.fullmatch("[^\\s:]+:[!-~]{12,}", part) for part in value.split(",")):
            raise ValueError(
                "write name:password,…; a password has at least 12 characters, no space or comma among them"
            )
        if len(set(names)) < len(names):
            raise ValueError("each name once")
        return value

    @model_validator(mode="after")
    def _no_open_relay(self) -> Self:
        far = [one for one in self.relay_peers if not ipaddress.ip_network(one).is_private]
        if far and not self.relay_users:
            raise ValueError(
                f"relay_peers: {far[0]} is no private network; give relay_users, so that nobody else can send"
            )
        if self.relay_users and self.relay_tls_certificate is None and not self.relay_auth_without_tls:
            raise ValueError("relay_users: nobody could log in; give relay_tls_certificate (or relay_auth_without_tls)")
        if self.relay_tls_required and self.relay_tls_certificate is None:
            raise ValueError("relay_tls_required: STARTTLS needs relay_tls_certificate")
        return self

    @field_validator("pepper")
    @classmethod
    def _one(cls, value: str) -> str:
        if "," in value:
            raise ValueError("there is one pepper: every look-up hash depends on it")
        return value

    @field_validator("message_days")
    @classmethod
    def _longer_than_links(cls, value: int) -> int:
        if value < LINK_LIFE_DAYS + 5:
            raise ValueError(f"opt-in links live {LINK_LIFE_DAYS} days, so messages must be kept at least 35")
        return value

    @property
    def database(self) -> str:
        """The database's URL with the default filled in."""
        return self.database_url or f"sqlite:///{self.state_dir.absolute() / 'handraiser.db'}"

    @property
    def templates(self) -> Path:
        """Where templates are: ``templates_dir``, else those in the wheel, else those of the checkout."""
        if self.templates_dir is not None:
            return self.templates_dir
        packaged = Path(str(resources.files("handraiser"))) / "templates"
        return packaged if packaged.is_dir() else Path(__file__).parents[2] / "templates"

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def relay_host_and_port(self) -> tuple[str, int]:
        host, _, port = self.relay_listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def origin(self) -> str:
        """Where customers reach us: ``public_url``, or ``http://`` and ``listen``."""
        return self.public_url or f"http://{self.listen}"

    def keys(self, name: str) -> tuple[tuple[int, bytes, bool], ...]:
        """The parsed keys of one list setting: (kid, secret, withdraw-only), oldest first."""
        text: str = getattr(self, name)
        parts = [part.strip().split(":") for part in text.split(",") if part.strip()]
        return tuple((int(part[0]), part[1].encode(), len(part) == 3) for part in parts)


def load(environ: Mapping[str, str], file: Path | None = None, **given: Any) -> Settings:
    """Read the settings of a TOML file (if it exists), the environment and ``given``, later ones winning.

    Raises :class:`SettingsRefused` that names every fault: unknown names, bad values, unreadable secret files.
    """
    faults: list[Fault] = []
    values: dict[str, Any] = {}
    path = file or Path("handraiser.toml")
    if file is not None or path.exists():
        try:
            values.update(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            faults.append(Fault(str(path), "unreadable", str(error)))
    values.update(_from_environment(environ, faults))
    values.update({name: value for name, value in given.items() if value is not None})
    try:
        settings = Settings(**values)
    except ValidationError as error:
        faults += [_fault(detail["loc"], detail["type"], detail["msg"]) for detail in error.errors(include_input=False)]
    if faults:
        raise SettingsRefused(faults)
    return settings


def _from_environment(environ: Mapping[str, str], faults: list[Fault]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable == TEST_DATABASE:
            continue
        name = variable[len(PREFIX) :].lower()
        of_file = name.removesuffix("_file")
        if of_file == name or of_file not in Settings.model_fields:
            values[name] = text
        elif variable.removesuffix("_FILE") in environ:
            faults.append(Fault(variable, "twice", f"{variable.removesuffix('_FILE')} is set too; keep one"))
        else:
            try:
                values[of_file] = Path(text).read_text(encoding="utf-8").strip()
            except OSError as error:
                faults.append(Fault(variable, "unreadable", error.strerror or "cannot be read"))
            except ValueError:
                faults.append(Fault(variable, "unreadable", "the file is not UTF-8 text"))
    return values


def _fault(location: tuple[int | str, ...], code: str, message: str) -> Fault:
    name = str(location[0]) if location else ""
    if code == "extra_forbidden":
        near = difflib.get_close_matches(name, Settings.model_fields, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return Fault(name, "unknown_setting", f"there is no setting of this name{hint}")
    return Fault(name, code, message.removeprefix("Value error, "))
