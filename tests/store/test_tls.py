"""The way to PostgreSQL under TLS: the server is who its certificate says, or nothing is said to it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from handraiser.errors import StoreUnavailable
from handraiser.store.database import Database
from postgres import debian_binaries, killable_server
from running import free_port

pytestmark = pytest.mark.tls
PEM = serialization.Encoding.PEM


def a_certificate(
    folder: Path, name: str, ca: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
    """Write ``name.crt`` and ``name.key`` for the host ``localhost``, signed by ``ca`` or, an authority, by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer, signer = ca or (subject, key)
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=ca is None, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(made.public_bytes(PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return subject, key


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server it vouches for, and an authority of somebody else's."""
    made = tmp_path_factory.mktemp("tls")
    a_certificate(made, "server", a_certificate(made, "ours", None))
    a_certificate(made, "theirs", None)
    return made


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """Where a PostgreSQL listens that takes TLS."""
    at = free_port()
    files = folder.glob("server.*")
    with killable_server(binaries=debian_binaries(), port=at, files=files, ssl="on"):
        yield at


async def test_a_verified_connection_is_encrypted(folder: Path, port: int):
    database = await Database.open(a_url(port, f"sslmode=verify-full&sslrootcert={folder / 'ours.crt'}"))

    (found,) = await database.fetch("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")

    await database.close()
    assert found["ssl"] is True


@pytest.mark.parametrize(
    ("host", "words", "said"),
    [
        ("localhost", "sslmode=verify-full&sslrootcert={}/theirs.crt", "unable to get local issuer certificate"),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert={}/ours.crt", "IP address mismatch"),
        (
            "localhost",
            "sslmode=verify-full&sslrootcert={}/lost.crt",
            "a file or socket that database_url names is missing",
        ),
        ("localhost", "sslmode=verified", "`sslmode` parameter must be one of"),
    ],
)
async def test_what_cannot_be_verified_is_refused_with_the_reason(
    folder: Path, port: int, host: str, words: str, said: str
):
    with pytest.raises(StoreUnavailable) as refused:
        await Database.open(a_url(port, words.format(folder), host))

    assert said.format(folder) in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_a_server_without_tls_is_refused(folder: Path):
    at = free_port()
    with (
        killable_server(port=at),
        pytest.raises(StoreUnavailable, match="ConnectionError"),
    ):
        await Database.open(a_url(at, f"sslmode=verify-full&sslrootcert={folder / 'ours.crt'}"))


def a_url(port: int, words: str, host: str = "localhost") -> str:
    return f"postgresql://handraiser:secret@{host}:{port}/postgres?{words}"
