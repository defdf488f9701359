"""A real Postfix of the tests' own on a loopback port: own configuration, queue and mailboxes, gone with its folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from running import free_port

SBIN = Path("/usr/lib/postfix/sbin")
AS_ROOT = [] if os.getuid() == 0 else ["sudo", "-n"]
MAIN = """
compatibility_level = 3.6
config_directory = {home}/etc
queue_directory = {home}/spool
data_directory = {home}/data
maillog_file = {home}/log/mail.log
maillog_file_prefixes = {home}/log
mail_owner = postfix
setgid_group = postdrop
myhostname = next.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_header_rewrite_clients =
virtual_mailbox_domains = example.com, tents.example
virtual_mailbox_base = {home}/mail
virtual_mailbox_maps = inline:{{ {{ alice@example.com = alice/ }}, {{ bob@example.com = bob/ }},
  {{ slow@example.com = slow/ }}, {{ archive@tents.example = archive/ }} }}
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtpd_recipient_restrictions =
  check_recipient_access inline:{{ {{ charlie@example.com = 451 4.7.1 greylisted }} }}, reject_unauth_destination
smtpd_tls_security_level = none
message_size_limit = {size}
{more}
virtual_mailbox_limit = 0
"""
MASTER = """
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
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass
class Postfix:
    """One that runs, or is down for a while."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [*AS_ROOT, SBIN / "master", "-c", self.home / "etc", "-d"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.home / "log" / "mail.log").read_text()[-2000:])

    def stop(self, *numbers: int) -> None:
        """Stop it with all it started; with other signals than the usual ones where they are given."""
        if self.process is not None:
            for number in numbers or (signal.SIGTERM, signal.SIGKILL):
                subprocess.run(
                    [*AS_ROOT, "kill", f"-{int(number)}", "--", f"-{self.process.pid}"],
                    check=False,
                    capture_output=True,
                )
                try:
                    self.process.wait(5)
                    break
                except subprocess.TimeoutExpired:
                    continue
            self.process = None

    def freeze(self) -> None:
        """Every process of it stands still: connections are taken and nothing is said."""
        assert self.process
        subprocess.run([*AS_ROOT, "kill", "-STOP", "--", f"-{self.process.pid}"], check=True)

    def thaw(self) -> None:
        """Go on."""
        assert self.process
        subprocess.run([*AS_ROOT, "kill", "-CONT", "--", f"-{self.process.pid}"], check=True)

    def mails(self, name: str, count: int) -> list[bytes]:
        """What arrived in a mailbox, once there are ``count`` and the queue is empty."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            found = self._read(name)
            if len(found) >= count and not self._queued():
                return found
            time.sleep(0.05)
        raise AssertionError((len(self._read(name)), (self.home / "log" / "mail.log").read_text()[-2000:]))

    def _read(self, name: str) -> list[bytes]:
        folder = self.home / "mail" / name
        listed = subprocess.run(
            [*AS_ROOT, "find", folder, "-type", "f", "-path", "*/new/*"], capture_output=True, text=True, check=False
        )
        paths = sorted(listed.stdout.split())
        return [subprocess.run([*AS_ROOT, "cat", one], capture_output=True, check=True).stdout for one in paths]

    def _queued(self) -> bool:
        """Whether a whole mail waits; a kill may leave half a one behind, which nobody was told of."""
        names = ("maildrop", "incoming", "active", "deferred")
        listed = subprocess.run(
            [*AS_ROOT, "find", *(self.home / "spool" / name for name in names), "-type", "f", "-perm", "-100"],
            capture_output=True,
            text=True,
            check=False,
        )
        return bool(listed.stdout)


@contextmanager
def postfix(*, size: int = 30_000_000, refuses: str = "", port: int = 0) -> Iterator[Postfix]:
    """One in a folder that its own users can pass through; it ``refuses`` mail with this in a line of its body."""
    home = Path(tempfile.mkdtemp(prefix="handraiser-postfix-"))
    home.chmod(0o755)
    for name in ("etc", "spool", "data", "log", "mail"):
        (home / name).mkdir()
    port = port or free_port()
    more = f"body_checks = regexp:{{ {{ /{refuses}/ REJECT 5.7.1 looks like advertising }} }}" if refuses else ""
    (home / "etc" / "main.cf").write_text(MAIN.format(home=home, size=size, more=more))
    (home / "etc" / "master.cf").write_text(MASTER.format(port=port))
    subprocess.run([*AS_ROOT, "chown", "-R", "root", home / "etc", home / "spool"], check=True)
    subprocess.run([*AS_ROOT, "chown", "postfix", home / "data"], check=True)
    subprocess.run([*AS_ROOT, "chown", "65534:65534", home / "mail"], check=True)
    subprocess.run([*AS_ROOT, "/usr/sbin/postfix", "-c", home / "etc", "check"], check=True, capture_output=True)
    running = Postfix(home, port)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        subprocess.run([*AS_ROOT, "rm", "-rf", home], check=True)
