"""Recurring tasks as clients ask for them and see them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from carillon.graphql import build
from domain.access import Viewer
from domain.ids import SessionId, TaskId, UserId
from domain.services.task_patch import DueDraft
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.log import PostgresLog
from infra.postgres.plans import PostgresReader, ReadLanes
from infra.postgres.state import PostgresStateStore
from resolvers.execution import Caller, Operations
from resolvers.persisted import PersistedQueries
from resolvers.preparation import Readers
from resolvers.responses import Rejected
from tests.recurring import Recurring
from tests.worlds import FixedClock, World

CREATE = """mutation ($at: ID!, $input: TaskCreateInput!) {
  taskCreate(workspaceId: $at, input: $input) {
    seq userErrors { code field message }
    task {
      id due { date time timeZone instant } occurrence { seriesId slot }
      series {
        id summary isPaused nextAt endedAt version
        recurrence {
          rule cron start { date time } timeZone
          policies { gap overlap monthEnd anchor catchUp open }
        }
      }
    }
  }
}"""
PREVIEW = """query ($recurrence: RecurrenceInput!, $first: Int!, $after: DateTime) {
  recurrencePreview(recurrence: $recurrence, first: $first, after: $after) {
    occurrences summary userErrors { code field message }
  }
}"""


@dataclass
class Api:
    world: World
    operations: Operations

    async def send(self, query: str, *, user: UserId | None = None, **variables: Any) -> Any:
        viewer = Viewer(
            user=user or self.world.ada,
            session=SessionId(uuid4()),
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        )
        payload = {"query": query, "variables": variables}
        return orjson.loads(await self.operations.execute(Caller(viewer=viewer), payload))

    async def ask(self, query: str, *, user: UserId | None = None, **variables: Any) -> Any:
        answer = await self.send(query, user=user, **variables)
        assert "errors" not in answer, answer
        return answer["data"]

    async def create(self, **given: Any) -> Any:
        given = {"title": "Water the plants", **given}
        payload = (await self.ask(CREATE, at=str(self.world.home), input=given))["taskCreate"]
        assert payload["userErrors"] == [], payload
        return payload["task"]

    async def refused(self, **recurrence: Any) -> list[tuple[str, str]]:
        """Returns code and path of what is wrong with it; nothing was done."""
        head = await self.world.head()
        given = {"title": "Water the plants", "recurrence": recurrence}
        payload = (await self.ask(CREATE, at=str(self.world.home), input=given))["taskCreate"]
        assert payload["task"] is None
        assert await self.world.head() == head
        return [(one["code"], ".".join(one["field"])) for one in payload["userErrors"]]


@pytest.fixture
async def api(world: World, database_url: str) -> AsyncIterator[Api]:
    async with Lanes(database_url, LaneOptions(size=2)) as lanes:
        reader = PostgresReader(
            ReadLanes(generic=lanes, custom=lanes), PostgresLog(lanes), FixedClock()
        )
        persisted = PersistedQueries(PostgresStateStore(lanes))
        readers = Readers(answers=reader, messages=reader)
        yield Api(world, Operations(build(), readers, world.use_cases, persisted))


async def test_a_task_begins_a_series_and_is_its_first_occurrence(api: Api) -> None:
    task = await api.create(
        due={"date": "2027-03-25", "time": "09:30"}, recurrence={"rule": "RRULE:FREQ=DAILY"}
    )

    assert task["due"] == {
        "date": "2027-03-25",
        "time": "09:30",
        "timeZone": "Europe/Paris",
        "instant": "2027-03-25T08:30:00+00:00",
    }
    assert task["occurrence"] == {"seriesId": task["series"]["id"], "slot": "2027-03-25T09:30"}
    assert task["series"] == {
        "id": task["series"]["id"],
        "summary": "Every day at 9:30",
        "isPaused": False,
        "nextAt": "2027-03-25T08:30:00+00:00",
        "endedAt": None,
        "version": 1,
        "recurrence": {
            "rule": "FREQ=DAILY",
            "cron": None,
            "start": {"date": "2027-03-25", "time": "09:30"},
            "timeZone": "Europe/Paris",
            "policies": {
                "gap": "SHIFT",
                "overlap": "FIRST",
                "monthEnd": "SKIP",
                "anchor": "SCHEDULE",
                "catchUp": "ONE",
                "open": "ALLOW",
            },
        },
    }


@pytest.mark.parametrize(
    "_case, given, due, slot",
    [
        (
            "a due that the rule does not hit moves to its first slot",
            {
                "due": {"date": "2027-03-25", "time": "09:30"},
                "recurrence": {"rule": "FREQ=WEEKLY;BYDAY=FR"},
            },
            ("2027-03-26", "09:30", "Europe/Paris"),
            "2027-03-26T09:30",
        ),
        (
            "all day",
            {"due": {"date": "2027-01-31"}, "recurrence": {"preset": "MONTHLY"}},
            ("2027-01-31", None, "Europe/Paris"),
            "2027-01-31T00:00",
        ),
        (
            "without a due or a start, from today on",
            {"recurrence": {"preset": "DAILY"}},
            ("2026-11-23", None, "Europe/Paris"),
            "2026-11-23T00:00",
        ),
        (
            "a crontab line, from now on",
            {"recurrence": {"cron": "30 7 * * *", "timeZone": "America/New_York"}},
            ("2026-11-23", "07:30", "America/New_York"),
            "2026-11-23T07:30",
        ),
        (
            "a start of its own, in a gap",
            {
                "recurrence": {
                    "preset": "DAILY",
                    "start": {"date": "2027-03-28", "time": "02:30"},
                    "policies": {"gap": "RUN_AFTER"},
                }
            },
            ("2027-03-28", "03:00", "Europe/Paris"),
            "2027-03-28T02:30",
        ),
        (
            "a due in another zone",
            {
                "due": {"date": "2027-03-25", "time": "09:30", "timeZone": "Asia/Tokyo"},
                "recurrence": {"preset": "DAILY"},
            },
            ("2027-03-25", "01:30", "Europe/Paris"),
            "2027-03-25T01:30",
        ),
    ],
)
async def test_the_first_occurrence_is_due_at_the_first_slot(
    api: Api, _case: str, given: dict[str, Any], due: tuple[str, str | None, str], slot: str
) -> None:
    task = await api.create(**given)

    assert (task["due"]["date"], task["due"]["time"], task["due"]["timeZone"]) == due
    assert task["occurrence"]["slot"] == slot


async def test_the_log_tells_of_the_series_first(api: Api) -> None:
    task = await api.create(recurrence={"rule": "FREQ=DAILY", "policies": {"open": "WAIT"}})

    began, created = (await api.world.log())[-2:]
    assert (began["kind"], created["kind"]) == ("series.created", "task.created")
    state = orjson.loads(began["payload"])
    assert state["template"]["title"] == "Water the plants"
    assert state["recurrence"]["policies"]["open"] == "WAIT"
    assert orjson.loads(created["payload"])["series"] == {"id": task["series"]["id"]}
    page = await api.ask(
        """query ($at: ID!) { changes(workspaceId: $at, after: "0") { nodes {
            kind subjectId series { id summary nextAt } task { occurrence { slot } } } } }""",
        at=str(api.world.home),
    )
    assert page["changes"]["nodes"][-2:] == [
        {
            "kind": "series.created",
            "subjectId": task["series"]["id"],
            "series": {
                "id": task["series"]["id"],
                "summary": "Every day",
                "nextAt": "2026-11-22T23:00:00+00:00",
            },
            "task": None,
        },
        {
            "kind": "task.created",
            "subjectId": task["id"],
            "series": None,
            "task": {"occurrence": {"slot": "2026-11-23T00:00"}},
        },
    ]


async def test_a_repeat_answers_with_the_series_of_then(api: Api) -> None:
    given = {"recurrence": {"preset": "DAILY"}, "clientMutationId": "0123456789abcdef"}

    first, second = await api.create(**given), await api.create(**given)

    assert first == second
    assert await api.world.lanes.fetchval("SELECT count(*) FROM series") == 1
    slots = await api.world.lanes.fetch("SELECT * FROM series_slot")
    assert [(one["slot"], one["state"], one["task_id"]) for one in slots] == [
        ("2026-11-23T00:00", "SPAWNED", UUID(first["id"]))
    ]


@pytest.mark.parametrize(
    "_case, recurrence, path",
    [
        ("nothing", {}, "input.recurrence"),
        ("two", {"rule": "FREQ=DAILY", "cron": "@daily"}, "input.recurrence"),
        ("no rule", {"rule": "FREQ=SOMETIMES"}, "input.recurrence.rule"),
        ("too often", {"rule": "FREQ=SECONDLY"}, "input.recurrence.rule"),
        ("never", {"cron": "0 0 30 2 *"}, "input.recurrence.cron"),
        ("count 0", {"rule": "FREQ=DAILY;COUNT=0"}, "input.recurrence.rule"),
        ("over before it starts", {"rule": "FREQ=DAILY;UNTIL=20200101"}, "input.recurrence.rule"),
    ],
)
async def test_what_cannot_recur_is_refused_where_it_is_wrong(
    api: Api, _case: str, recurrence: dict[str, Any], path: str
) -> None:
    assert await api.refused(**recurrence) == [("INVALID", path)]


async def test_all_that_is_wrong_is_told_with_the_recurrence(api: Api) -> None:
    given = {"title": "", "recurrence": {"rule": "FREQ=SOMETIMES"}}

    answer = await api.ask(CREATE, at=str(api.world.home), input=given)

    errors = answer["taskCreate"]["userErrors"]
    assert [".".join(one["field"]) for one in errors] == ["input.title", "input.recurrence.rule"]


async def test_recurring_tasks_are_found_by_a_filter(api: Api) -> None:
    recurring = await api.create(recurrence={"preset": "DAILY"})
    plain = await api.create()
    query = """query ($at: ID!, $wanted: Boolean!) {
        tasks(workspaceId: $at, filter: {isRecurring: $wanted}) { nodes { id } } }"""

    found = {
        wanted: (await api.ask(query, at=str(api.world.home), wanted=wanted))["tasks"]["nodes"]
        for wanted in (True, False)
    }

    assert found == {True: [{"id": recurring["id"]}], False: [{"id": plain["id"]}]}


async def test_a_stranger_sees_no_series(api: Api) -> None:
    task = await api.create(recurrence={"preset": "DAILY"})
    bob, _ = await api.world.sign_up("Bob")
    query = "query ($id: ID!) { series(id: $id) { id summary } }"

    mine = await api.ask(query, id=task["series"]["id"])
    theirs = await api.ask(query, user=bob, id=task["series"]["id"])

    assert mine == {"series": {"id": task["series"]["id"], "summary": "Every day"}}
    assert theirs == {"series": None}


async def test_a_preview_shows_and_keeps_nothing(api: Api) -> None:
    head = await api.world.head()

    answer = await api.ask(
        PREVIEW,
        recurrence={
            "rule": "FREQ=MONTHLY;BYDAY=-1FR",
            "start": {"date": "2027-01-01", "time": "09:00"},
        },
        first=2,
        after="2027-02-26T08:00:00Z",
    )

    assert answer["recurrencePreview"] == {
        "occurrences": ["2027-03-26T08:00:00+00:00", "2027-04-30T07:00:00+00:00"],
        "summary": "Every month on the last Friday at 9:00",
        "userErrors": [],
    }
    assert await api.world.head() == head
    assert await api.world.lanes.fetchval("SELECT count(*) FROM series") == 0


async def test_a_preview_says_what_is_wrong(api: Api) -> None:
    answer = await api.ask(PREVIEW, recurrence={"rule": "FREQ=DAILY;INTERVAL=0"}, first=2)

    assert answer["recurrencePreview"]["occurrences"] == []
    (error,) = answer["recurrencePreview"]["userErrors"]
    assert (error["code"], error["field"]) == ("INVALID", ["recurrence", "rule"])


async def test_a_request_holds_few_previews(api: Api) -> None:
    one = "recurrencePreview(recurrence: {preset: DAILY}, first: 200) { summary }"
    many = " ".join(f"p{number}: {one}" for number in range(21))

    answer = await api.send(f"{{ {one} }}")

    assert answer["extensions"]["cost"] > 500
    with pytest.raises(Rejected, match="TOO_COSTLY"):
        await api.send(f"{{ {many} }}")


@pytest.mark.parametrize("first, code", [(-1, "MALFORMED"), (201, "LIMIT_EXCEEDED")])
async def test_a_preview_is_bounded(api: Api, first: int, code: str) -> None:
    answer = await api.send(PREVIEW, recurrence={"preset": "DAILY"}, first=first)

    assert [one["extensions"]["code"] for one in answer["errors"]] == [code]


async def test_series_are_paused_resumed_skipped_and_ended(api: Api) -> None:
    task = await api.create(
        recurrence={"preset": "DAILY", "start": {"date": "2027-01-01", "time": "09:00"}}
    )
    series = task["series"]["id"]

    steps: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("seriesPause", {}, {"isPaused": True, "nextAt": None, "version": 2}),
        ("seriesResume", {}, {"isPaused": False, "nextAt": NEXT, "version": 3}),
        (
            "seriesSkip",
            {"slot": "2027-01-02T09:00"},
            {"isPaused": False, "nextAt": NEXT, "version": 4},
        ),
        ("seriesEnd", {}, {"isPaused": False, "nextAt": None, "version": 5}),
    ]
    for name, given, shown in steps:
        kind = f"{name[0].upper()}{name[1:]}Input"
        answer = await api.ask(
            f"""mutation ($id: ID!, $input: {kind}!) {{ {name}(id: $id, input: $input) {{
                series {{ isPaused nextAt version }} seq userErrors {{ code }} }} }}""",
            id=series,
            input={**given, "expectedVersion": shown["version"] - 1},
        )
        assert answer[name]["series"] == shown
        assert (answer[name]["userErrors"], int(answer[name]["seq"])) == (
            [],
            await api.world.head(),
        )


NEXT = "2027-01-01T08:00:00+00:00"


async def test_a_stale_version_shows_the_series_as_it_is(api: Api) -> None:
    task = await api.create(recurrence={"preset": "DAILY"})

    answer = await api.ask(
        """mutation ($id: ID!) { seriesPause(id: $id, input: {expectedVersion: 9}) {
            series { id version nextAt } seq userErrors { code field } } }""",
        id=task["series"]["id"],
    )

    assert answer["seriesPause"] == {
        "series": {"id": task["series"]["id"], "version": 1, "nextAt": "2026-11-22T23:00:00+00:00"},
        "seq": None,
        "userErrors": [{"code": "STALE_VERSION", "field": ["input", "expectedVersion"]}],
    }


async def test_edits_reach_as_far_as_they_say(api: Api) -> None:
    task = await api.create()
    update = """mutation ($id: ID!, $input: TaskUpdateInput!) {
        taskUpdate(id: $id, input: $input) {
            task { title series { summary endedAt } occurrence { slot } } userErrors { code } } }"""

    began = await api.ask(update, id=task["id"], input={"recurrence": {"preset": "WEEKLY"}})
    renamed = await api.ask(update, id=task["id"], input={"title": "Feed", "scope": "ALL"})
    ended = await api.ask(update, id=task["id"], input={"recurrence": None})

    assert began["taskUpdate"]["task"]["occurrence"] == {"slot": "2026-11-23T00:00"}
    assert renamed["taskUpdate"]["task"]["title"] == "Feed"
    assert ended["taskUpdate"]["task"]["series"]["endedAt"] == "2026-11-23T12:00:00+00:00"
    assert (await api.world.log())[-1]["kind"] == "series.ended"
    gone = await api.ask(
        """mutation ($id: ID!) { taskDelete(id: $id, input: {scope: THIS_AND_FOLLOWING}) {
            task { deletedAt } userErrors { code } } }""",
        id=task["id"],
    )
    assert gone["taskDelete"]["task"]["deletedAt"] == "2026-11-23T12:00:00+00:00"


async def test_a_skipped_occurrence_is_cancelled(api: Api) -> None:
    task = await api.create(recurrence={"preset": "DAILY"})

    answer = await api.ask(
        "mutation ($id: ID!) { taskSkip(id: $id) { task { status } userErrors { code } } }",
        id=task["id"],
    )

    assert answer["taskSkip"] == {"task": {"status": "CANCELLED"}, "userErrors": []}


async def test_the_history_tells_what_became_of_each_slot(api: Api) -> None:
    recurring = Recurring.of(api.world)
    days = [f"2027-01-0{number}T09:00" for number in range(1, 8)]
    await recurring.begin()
    series = (await recurring.series())["id"]
    world = recurring.world
    await recurring.edits.skip(world.command(), series, days[6], None)
    for day in days[:2]:
        await recurring.tick(day)
    await recurring.complete(TaskId((await recurring.task("01-01T09:00"))["id"]))
    second = TaskId((await recurring.task("01-02T09:00"))["id"])
    await recurring.update(second, due=DueDraft(day=date(2027, 1, 9)))
    await recurring.tick(days[4])
    await recurring.delete(TaskId((await recurring.task("01-03T09:00"))["id"]))

    query = """query ($id: ID!, $after: String) { series(id: $id) {
        history(first: 5, after: $after) {
        totalCount nodes { slot state task { title } } pageInfo { hasNextPage endCursor } } } }"""
    first = (await api.ask(query, id=str(series)))["series"]["history"]
    after = first["pageInfo"]["endCursor"]
    second_page = (await api.ask(query, id=str(series), after=after))["series"]["history"]

    states = [(one["slot"], one["state"]) for one in (*first["nodes"], *second_page["nodes"])]
    assert states == [
        (days[6], "SKIPPED"),
        (days[5], "OPEN"),
        (days[4], "OPEN"),
        (days[3], "MISSED"),
        (days[2], "SKIPPED"),
        (days[1], "MOVED"),
        (days[0], "DONE"),
    ]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (7, True)
    assert second_page["pageInfo"]["hasNextPage"] is False
    assert first["nodes"][1]["task"] == {"title": "Water"}
    assert first["nodes"][3]["task"] is None
