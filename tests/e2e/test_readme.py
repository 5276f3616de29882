"""The README's tour, pasted into a shell as it stands, against the real server."""

import asyncio
import json
import os
import re
import signal
import textwrap
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.processes import Server

README = Path(__file__).parents[2] / "README.md"
HOST = "http://127.0.0.1:8000"
WAIT_S = 30.0


def blocks() -> list[str]:
    """The indented blocks that are for a shell with a running server, in their order."""
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", README.read_text(), re.MULTILINE)
    return [block for block in map(textwrap.dedent, found) if "curl" in block]


async def pasted(lines: str, until: tuple[str, ...]) -> str:
    """Returns what a shell says to those lines, up to when it has said all of `until`."""
    shell = await asyncio.create_subprocess_exec(
        "bash", "--norc", stdin=PIPE, stdout=PIPE, process_group=0
    )
    assert shell.stdin is not None
    assert shell.stdout is not None
    said = ""
    try:
        # As at a prompt, where an exclamation mark outside of quotes means history.
        shell.stdin.write(f"set -o history -o histexpand\n{lines}".encode())
        async with asyncio.timeout(WAIT_S):
            while not all(text in said for text in until):
                chunk = await shell.stdout.read(4096)
                assert chunk, said
                said += chunk.decode()
    except TimeoutError as late:
        raise AssertionError(f"{until} did not come:\n{said}") from late
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        await shell.communicate()
    return said


async def test_every_command_of_the_tour_does_what_it_says(server: Server) -> None:
    tour = blocks()
    lines = "".join(f"{block}\n" for block in tour).replace(HOST, server.url)

    said = await pasted(lines, until=("accessToken", "totalCount", "task.created"))

    # What comes from the background may begin anywhere in a line.
    data = [
        json.JSONDecoder().raw_decode(said, found.start())[0]["data"]
        for found in re.finditer(r'\{"data":', said)
    ]
    events = [one["changes"] for one in data if "changes" in one]
    sign_up, created, listed = (one for one in data if "changes" not in one)
    assert len(tour) == 4
    assert sign_up["signUp"]["userErrors"] == []
    assert created["taskCreate"]["userErrors"] == []
    assert created["taskCreate"]["task"]["due"] == {"instant": "2027-03-28T07:30:00+00:00"}
    assert listed["tasks"]["totalCount"] == 1
    assert listed["tasks"]["nodes"][0]["title"] == "Buy milk"
    titles = [event["task"]["title"] for event in events if event.get("kind") == "task.created"]
    assert titles == ["Buy milk"]
