"""SMTP servers for the relay's row (the relay, a Postfix that only relays, a sink behind both), and a load for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.post import free_port

Mail = tuple[str, str, bytes]
"""Sender, recipient, and the content with CRLF, dots at the beginning of lines doubled."""
SBIN = Path("/usr/lib/postfix/sbin")
SINK = Path("/usr/sbin/smtp-sink")
_TICKS = os.sysconf("SC_CLK_TCK")
_MAIN = """
compatibility_level = 3.6
config_directory = {home}/etc
queue_directory = {home}/spool
data_directory = {home}/data
maillog_file = {home}/log/mail.log
maillog_file_prefixes = {home}/log
mail_owner = postfix
setgid_group = postdrop
myhostname = peer.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
relayhost = [127.0.0.1]:{hop}
smtpd_tls_security_level = none
smtp_tls_security_level = none
"""
_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
scache unix - - n - 1 scache
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


def missing() -> str:
    """Why no Postfix can be measured here; "" where one can."""
    if not (SBIN / "master").exists() or not SINK.exists():
        return "no Postfix"
    return "" if os.getuid() == 0 else "only root starts a Postfix"


@dataclass(slots=True)
class Sent:
    """What a load did: mails that were taken, the seconds it took, each mail's milliseconds."""

    mails: int = 0
    seconds: float = 0.0
    taken: list[float] = field(default_factory=list)


async def send(port: int, mails: Callable[[], Mail], *, sessions: int, seconds: float, pause: float = 0.0) -> Sent:
    """Send one mail after the other in so many SMTP sessions for ``seconds``, each with a ``pause`` between two.

    MAIL, RCPT and DATA go in one packet (PIPELINING). Raises :class:`RuntimeError` for a mail that is not taken.
    """
    sent = Sent()
    begun = time.perf_counter()

    async def session() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await _expect(reader, 220)
        writer.write(b"EHLO shop.example\r\n")
        await _expect(reader, 250)
        while time.perf_counter() < begun + seconds:
            sender, recipient, content = mails()
            start = time.perf_counter()
            writer.write(f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
            for code in (250, 250, 354):
                await _expect(reader, code)
            writer.write(content + b".\r\n")
            await _expect(reader, 250)
            sent.taken.append((time.perf_counter() - start) * 1000)
            if pause:
                await asyncio.sleep(pause)
        writer.close()

    await asyncio.gather(*(session() for _ in range(sessions)))
    sent.mails, sent.seconds = len(sent.taken), time.perf_counter() - begun
    return sent


async def _expect(reader: asyncio.StreamReader, code: int) -> None:
    async with asyncio.timeout(60):
        while (line := await reader.readline())[3:4] == b"-":
            pass
    if line[:3] != str(code).encode():
        raise RuntimeError(f"not {code}: {line!r}")


@contextmanager
def sink() -> Iterator[int]:
    """The next hop of both: Postfix's own sink, which takes everything and keeps nothing. Its port."""
    port = free_port()
    process = subprocess.Popen([SINK, "-u", "nobody", f"127.0.0.1:{port}", "1000"], stderr=subprocess.DEVNULL)
    try:
        await_greeting(port)
        yield port
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True, slots=True)
class Postfix:
    """One that relays all it gets to the sink."""

    home: Path
    port: int
    pid: int

    async def drained(self) -> None:
        """Until nothing waits in its queue."""
        while any(
            path.is_file() for name in ("incoming", "active") for path in (self.home / "spool" / name).rglob("*")
        ):
            await asyncio.sleep(0.01)


@contextmanager
def postfix(hop: int) -> Iterator[Postfix]:
    """A Postfix with a configuration and a queue of its own, in a folder that goes with it."""
    home = Path(tempfile.mkdtemp(prefix="handraiser-bench-postfix-"))
    home.chmod(0o755)
    for name in ("etc", "spool", "data", "log"):
        (home / name).mkdir()
    port = free_port()
    (home / "etc" / "main.cf").write_text(_MAIN.format(home=home, hop=hop), encoding="ascii")
    (home / "etc" / "master.cf").write_text(_MASTER.format(port=port), encoding="ascii")
    shutil.chown(home / "data", "postfix")
    subprocess.run(["/usr/sbin/postfix", "-c", home / "etc", "check"], check=True, capture_output=True)
    process = subprocess.Popen([SBIN / "master", "-c", home / "etc", "-d"], start_new_session=True)
    try:
        await_greeting(port)
        yield Postfix(home, port, process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
        shutil.rmtree(home, ignore_errors=True)


def await_greeting(port: int) -> None:
    """Until an SMTP server greets there."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as probe:
            if probe.recv(3) == b"220":
                return
        time.sleep(0.05)
    raise RuntimeError("no SMTP server came up within 60 seconds")


def cpu(pid: int) -> float:
    """CPU seconds so far of a process and of all below it, those that ended included."""
    parents: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = re.split(" ", path.read_text(encoding="ascii", errors="replace").rpartition(") ")[2])
            parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
            used[int(path.parent.name)] = sum(map(int, fields[11:15])) / _TICKS
    found, todo = 0.0, [pid]
    while todo:
        one = todo.pop()
        found += used.get(one, 0.0)
        todo += parents.get(one, [])
    return found
