"""One running server for the tests that leave it as they found it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Server


@pytest.fixture(scope="module")
def shared_server() -> Iterator[Server]:
    """The real server, shared by a module whose tests sign up people of their own."""
    folder = Path(tempfile.mkdtemp(prefix="carillon-test-"))
    # PostgreSQL's user has to reach its data, where the tests run as root.
    folder.chmod(0o711)
    server = Server(folder)
    server.start()
    yield server
    server.close()
    shutil.rmtree(folder)
