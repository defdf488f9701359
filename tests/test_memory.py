"""How the process holds its memory."""

from __future__ import annotations

import subprocess
import sys

from handraiser.memory import READING_BYTES

SERVE = """
import asyncio
from handraiser.memory import keep_memory_small

async def main():
    {first}
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    print(writer.transport.max_size)
    writer.close()

asyncio.run(main())
"""


def test_a_connection_reads_into_small_blocks_where_asyncio_itself_takes_large_ones():
    def printed(first: str) -> int:
        return int(
            subprocess.run([sys.executable, "-c", SERVE.format(first=first)], capture_output=True, check=True).stdout
        )

    assert printed("pass") > READING_BYTES, "asyncio has come to read small blocks by itself, or under another name"
    assert printed("keep_memory_small()") == READING_BYTES
