"""`carillon import` into the real server: all of a file, once, and seen live."""

import asyncio
import io
import json
import shutil
import tempfile
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import files
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import websockets

from carillon import importer
from carillon.import_plan import task_id
from infra.ical import read
from tests.processes import Server

PASSPHRASE = "a bell rings at noon"
TASK = """id title description status priority position due { date time timeZone instant }
  tags { id name } parent { id } version"""
SIGN_UP = """mutation($input: SignUpInput!) { signUp(input: $input) {
  accessToken viewer { workspaces { id } } userErrors { message } } }"""
PAGE = f"""query($w: ID!, $after: String) {{ tasks(workspaceId: $w, first: 200, after: $after) {{
  nodes {{ {TASK} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
HEAD = "query($w: ID!) { workspace(id: $w) { head tags { name colour } } }"
FOLLOW = f"""subscription($w: ID!, $after: Sequence) {{ changes(workspaceId: $w, after: $after) {{
  __typename seq ... on Change {{ kind task {{ {TASK} }} }} }} }}"""
NUMBERS = count()


@dataclass(frozen=True)
class Home:
    """Somebody's workspace on the server, and the files to import into it."""

    server: Server
    folder: Path
    email: str
    token: str
    workspace: str

    def ask(self, query: str, **variables: object) -> Any:
        return _ask(self.server, query, {"w": self.workspace, **variables}, self.token)

    def tasks(self) -> list[dict[str, Any]]:
        nodes: list[dict[str, Any]] = []
        after = None
        while True:
            page = self.ask(PAGE, after=after)["tasks"]
            nodes += page["nodes"]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                return nodes

    def head(self) -> int:
        return int(self.ask(HEAD)["workspace"]["head"])

    def file(self, *lines: str) -> Path:
        path = self.folder / f"{next(NUMBERS)}.ics"
        path.write_text("\r\n".join(["BEGIN:VCALENDAR", *lines, "END:VCALENDAR", ""]))
        return path

    def bring(self, *arguments: object) -> int:
        """Runs the command as `carillon import` does."""
        token = self.folder / "token"
        token.write_text(self.token)
        return _command("--token-file", token, "--url", self.server.url, *arguments)


def _ask(server: Server, query: str, variables: dict[str, object], token: str = "") -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = {"query": query, "variables": variables}
    answer = httpx.post(f"{server.url}/graphql", json=body, headers=headers, timeout=30).json()
    assert "errors" not in answer, answer
    return answer["data"]


def _command(*arguments: object) -> int:
    parser = ArgumentParser()
    importer.configure(parser)
    return importer.run(parser.parse_args([str(argument) for argument in arguments]))


def _todo(uid: str, *lines: str) -> tuple[str, ...]:
    return ("BEGIN:VTODO", f"UID:{uid}", f"SUMMARY:{uid}", *lines, "END:VTODO")


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="carillon-import-"))
    folder.chmod(0o711)
    server = Server(folder)
    server.start()
    yield server
    server.close()
    shutil.rmtree(folder)


@pytest.fixture
def home(running: Server, tmp_path: Path) -> Home:
    email = f"ada{next(NUMBERS)}@example.com"
    given = {"email": email, "password": PASSPHRASE, "name": "Ada", "timeZone": "Europe/Paris"}
    payload = _ask(running, SIGN_UP, {"input": given})["signUp"]
    workspace = payload["viewer"]["workspaces"][0]["id"]
    return Home(running, tmp_path, email, payload["accessToken"], workspace)


def _carried() -> list[Path]:
    packages = ("icalendar", "recurring-ical-events")
    every = [Path(str(file.locate())) for name in packages for file in files(name) or ()]
    return [path for path in every if path.suffix == ".ics" and b"BEGIN:VTODO" in path.read_bytes()]


@pytest.mark.parametrize("path", _carried(), ids=lambda path: path.stem)
def test_a_carried_calendar_is_there_whole_and_a_second_run_changes_nothing(
    home: Home, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = read(path.read_bytes()).items

    assert home.bring(path) == 0

    imported = {str(task_id(UUID(home.workspace), item.name)) for item in items}
    # A series begins to make occurrences at once.
    tasks = [task for task in home.tasks() if task["id"] in imported]
    assert [(task["title"], task["description"]) for task in tasks] == [
        (item.title, item.description) for item in items
    ]
    assert [(task["status"], task["priority"]) for task in tasks] == [
        (item.status.name, item.priority.name) for item in items
    ]
    assert [task["due"] and task["due"]["date"] for task in tasks] == [
        due and due.day.isoformat()
        for due in (item.due or (item.recurrence and item.recurrence.start) for item in items)
    ]
    assert [{tag["name"] for tag in task["tags"]} for task in tasks] == [
        set(item.tags) for item in items
    ]
    capsys.readouterr()
    assert home.bring(path) == 0
    assert [task for task in home.tasks() if task["id"] in imported] == tasks
    said = capsys.readouterr().out
    assert f"{path.name}: nothing changed in Ada's tasks." in said
    assert f"There already, left as they are: {len(items)}" in said


def test_due_dates_keep_their_zone_and_take_the_viewers_where_they_have_none(home: Home) -> None:
    path = home.file(
        *_todo("zone", "DUE;TZID=America/New_York:20261124T083000"),
        *_todo("utc", "DUE:20261124T083015Z"),
        *_todo("floating", "DUE:20261124T083000"),
        *_todo("day", "DUE;VALUE=DATE:20261124"),
    )

    assert home.bring(path) == 0

    assert {task["title"]: task["due"] for task in home.tasks()} == {
        "zone": {
            "date": "2026-11-24",
            "time": "08:30",
            "timeZone": "America/New_York",
            "instant": "2026-11-24T13:30:00+00:00",
        },
        "utc": {
            "date": "2026-11-24",
            "time": "08:30:15",
            "timeZone": "UTC",
            "instant": "2026-11-24T08:30:15+00:00",
        },
        "floating": {
            "date": "2026-11-24",
            "time": "08:30",
            "timeZone": "Europe/Paris",
            "instant": "2026-11-24T07:30:00+00:00",
        },
        "day": {
            "date": "2026-11-24",
            "time": None,
            "timeZone": "Europe/Paris",
            "instant": "2026-11-24T23:00:00+00:00",
        },
    }


def test_a_rule_becomes_a_series_once(home: Home) -> None:
    due = "DUE;TZID=Europe/Berlin:20990105T083000"
    path = home.file(*_todo("weekly", due, "RRULE:FREQ=WEEKLY;BYDAY=MO"))

    assert (home.bring(path), home.bring(path)) == (0, 0)

    [task] = home.tasks()
    assert task["description"] == ""
    [node] = home.ask(
        """query($w: ID!) { tasks(workspaceId: $w, filter: {isRecurring: true}) { nodes {
            occurrence { slot } series { summary recurrence { rule timeZone } } } } }"""
    )["tasks"]["nodes"]
    assert node == {
        "occurrence": {"slot": "2099-01-05T08:30"},
        "series": {
            "summary": "Every Monday at 8:30",
            "recurrence": {"rule": "FREQ=WEEKLY;BYDAY=MO", "timeZone": "Europe/Berlin"},
        },
    }


def test_subtasks_hang_below_their_parents_wherever_they_stand_in_the_file(home: Home) -> None:
    path = home.file(
        *_todo("leaf", "RELATED-TO:branch"),
        *_todo("branch"),
        *_todo("root", "RELATED-TO;RELTYPE=CHILD:branch"),
    )

    assert home.bring(path) == 0
    assert home.bring(home.file(*_todo("late leaf", "RELATED-TO:branch"))) == 0

    tasks = {task["title"]: task for task in home.tasks()}
    parents = {title: task["parent"] and task["parent"]["id"] for title, task in tasks.items()}
    assert parents == {
        "root": None,
        "branch": tasks["root"]["id"],
        "leaf": tasks["branch"]["id"],
        "late leaf": tasks["branch"]["id"],
    }


def test_a_bad_task_is_told_and_does_not_stop_the_others(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home.file(
        *_todo("first"),
        *("BEGIN:VTODO", "UID:long", f"SUMMARY:{'x' * 501}", "END:VTODO"),
        *_todo("child of long", "RELATED-TO:long"),
        *_todo("moonlit", "DUE;TZID=Moonbase:20261124T083000", "BEGIN:VALARM", "END:VALARM"),
        *_todo("one", "RELATED-TO:two"),
        *_todo("two", "RELATED-TO:one"),
    )
    report = home.folder / "report.json"

    assert home.bring(path, "--report", report) == 1

    assert {task["title"] for task in home.tasks()} == {
        *("first", "child of long", "moonlit", "one", "two"),
    }
    [told] = json.loads(report.read_text())
    assert (told["created"], told["there"], told["trashed"]) == (5, 0, [])
    assert [uid for uid, _ in told["left_out"]] == ["long"]
    assert sorted(uid for uid, _ in told["changed"]) == ["child of long", "moonlit", "one", "two"]
    assert told["lost"] == {"VALARM": ["moonlit"]}
    said = capsys.readouterr().out
    assert "long: input.title: Use at most 500 characters; these are 501." in said


def test_a_chain_deeper_than_tasks_nest_is_cut_and_told(home: Home) -> None:
    chain = (line for n in range(25) for line in _todo(f"{n}", f"RELATED-TO:{n - 1}"))
    report = home.folder / "report.json"

    assert home.bring(home.file(*chain), "--report", report) == 1

    tasks = {task["id"]: task for task in home.tasks()}
    assert len(tasks) == 25
    [told] = json.loads(report.read_text())
    # The first one's parent is in no file; the twenty-first would lie too deep.
    assert [uid for uid, _ in told["changed"]] == ["0", "20"]


def test_categories_become_tags_and_existing_tags_are_used_whatever_their_case(home: Home) -> None:
    assert home.bring(home.file(*_todo("milk", "CATEGORIES:Shop,Food"))) == 0

    assert home.bring(home.file(*_todo("bread", "CATEGORIES:SHOP,Caf\u00e9"))) == 0

    names = {task["title"]: [tag["name"] for tag in task["tags"]] for task in home.tasks()}
    assert names == {"milk": ["Food", "Shop"], "bread": ["Caf\u00e9", "Shop"]}
    tags = home.ask(HEAD)["workspace"]["tags"]
    assert [tag["name"] for tag in tags] == ["Caf\u00e9", "Food", "Shop"]


def test_a_category_that_can_be_no_tag_is_told(home: Home) -> None:
    path = home.file(*_todo("milk", f"CATEGORIES:{'x' * 101},Food"))
    report = home.folder / "report.json"

    assert home.bring(path, "--report", report) == 1

    [task] = home.tasks()
    assert [tag["name"] for tag in task["tags"]] == ["Food"]
    [told] = json.loads(report.read_text())
    assert [uid for uid, _ in told["changed"]] == ["milk"]


def test_what_was_deleted_since_stays_in_the_trash(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home.file(*_todo("milk"), *_todo("bread"))
    home.bring(path)
    milk = next(task["id"] for task in home.tasks() if task["title"] == "milk")
    home.ask("mutation($id: ID!) { taskDelete(id: $id) { userErrors { message } } }", id=milk)
    head = home.head()
    capsys.readouterr()

    assert home.bring(path) == 0

    assert (home.head(), [task["title"] for task in home.tasks()]) == (head, ["bread"])
    assert "In the trash, left there: milk" in capsys.readouterr().out


def test_one_may_sign_in_by_a_password_from_a_pipe(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home.file(*_todo("milk"))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSPHRASE}\n"))

    code = _command("--email", home.email, "--url", home.server.url, path)

    assert code == 0
    assert [task["title"] for task in home.tasks()] == ["milk"]


@pytest.mark.parametrize(
    "_case,arguments,token,told",
    [
        ("a token of nobody", [], "nobody's", "sign in"),
        ("another's workspace", ["--workspace", "5f0e6e0e-0000-4000-8000-000000000001"], "", "ID"),
        ("no server", ["--url", "ftp://127.0.0.1"], "", "no address"),
        ("no file", ["missing.ics"], "", "missing.ics"),
    ],
)
def test_what_cannot_be_done_at_all_is_said_in_one_line(
    home: Home,
    _case: str,
    arguments: list[str],
    token: str,
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, key = home.file(*_todo("milk")), home.folder / "token"
    key.write_text(token or home.token)

    code = _command("--token-file", key, "--url", home.server.url, *arguments, path)

    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert told in said.err
    assert home.tasks() == []


async def test_a_client_that_follows_ends_with_exactly_what_a_query_returns(home: Home) -> None:
    tree = (_todo(f"{n}", f"RELATED-TO:{n // 3}", "CATEGORIES:A,B") for n in range(1, 400))
    path = home.file(*(line for lines in tree for line in lines))
    seen: dict[str, dict[str, Any]] = {}
    seqs: list[int] = []

    async with websockets.connect(
        home.server.websocket_url, subprotocols=[websockets.Subprotocol("graphql-transport-ws")]
    ) as socket:
        await _send(socket, type="connection_init", payload={"token": home.token})
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        variables = {"w": home.workspace, "after": "0"}
        await _send(
            socket, type="subscribe", id="1", payload={"query": FOLLOW, "variables": variables}
        )
        bringing = asyncio.create_task(asyncio.to_thread(home.bring, path))
        while not bringing.done() or seqs[-1] < await asyncio.to_thread(home.head):
            message = json.loads(await asyncio.wait_for(socket.recv(), 30))
            change = message["payload"]["data"]["changes"]
            if change["__typename"] == "Change":
                seqs.append(int(change["seq"]))
                if change["task"] is not None:
                    seen[change["task"]["id"]] = change["task"]

    # The parent of the first two is in no file.
    assert await bringing == 1
    assert seqs == list(range(1, seqs[-1] + 1))
    tasks = await asyncio.to_thread(home.tasks)
    assert len(tasks) == 399
    assert sorted(seen.values(), key=lambda task: task["position"]) == tasks


async def _send(socket: websockets.ClientConnection, **message: object) -> None:
    await socket.send(json.dumps(message))


def test_an_import_survives_a_server_that_is_killed_and_started_again(home: Home) -> None:
    path = home.file(*(line for n in range(2_000) for line in _todo(f"{n}")))
    codes: list[int] = []
    bringing = threading.Thread(target=lambda: codes.append(home.bring(path)))
    bringing.start()
    while home.head() < 300:
        assert bringing.is_alive()

    home.server.kill()
    home.server.start()
    bringing.join()

    assert codes == [0]
    assert [task["title"] for task in home.tasks()] == [f"{n}" for n in range(2_000)]
    assert home.head() == 2 + 2_000
