"""What Kubernetes and `make cluster` start is a command that `carillon` has."""

from collections.abc import Sequence

import pytest

from carillon.__main__ import _parser
from cluster.documents import ROOT, read
from cluster.up import WANTED
from workers.routes import APPS

KINDS = {"Deployment", "Job", "CronJob"}


def shipped() -> set[tuple[str, ...]]:
    """Returns the commands of the base's workloads, each of which runs the image of all."""
    workloads = [
        document
        for path in sorted(ROOT.glob("base/*/*.yaml"))
        for document in read(path)
        if document["kind"] in KINDS
    ]
    containers = [one["spec"]["template"]["spec"]["containers"] for one in workloads]
    return {tuple(each["args"]) for (each,) in containers}


def is_known(words: Sequence[str]) -> bool:
    try:
        _parser(words).parse_args(words)
    except SystemExit:
        return False
    return True


def test_every_command_of_the_manifests_is_one_of_the_program() -> None:
    commands = shipped()

    assert len(commands) == len(APPS) + 1
    assert [words for words in commands if not is_known(words)] == []


@pytest.mark.parametrize("words", [(), ("worker",), ("worker", "nobody"), ("relay", "--loud")])
def test_what_is_no_command_is_known_as_none(words: Sequence[str]) -> None:
    assert not is_known(words)


def test_make_cluster_starts_every_process_that_there_is() -> None:
    started = {tuple(wanted.command[1:]) for wanted in WANTED}

    assert started == {app.command for app in APPS if is_known(app.command)}
