"""How people are told of things, by GraphQL."""

from typing import Any

from tests.api import Served

DUE = {"date": "2027-03-01", "time": "12:00", "timeZone": "Europe/Paris"}
SHOW = """
fragment All on NotificationPreferences {
  timeZone choices { category channel isOn } quietHours { days start end } quietPolicy latePolicy
  lateKeep digestAt defaults { beforeDue onDay { time daysBefore } channels nag { every times } }
  pushKey pushSubscriptions { id endpoint }
}"""
ASK = "{ notificationPreferences { ...All } }" + SHOW
UPDATE = (
    """
mutation ($input: NotificationPreferencesUpdateInput!) {
  notificationPreferencesUpdate(input: $input) {
    preferences { ...All } userErrors { code field message }
  }
}"""
    + SHOW
)
SUBSCRIBE = """
mutation ($input: PushSubscriptionAddInput!) {
  pushSubscriptionAdd(input: $input) {
    pushSubscription { id endpoint } userErrors { code field message }
  }
}"""
# The keys of RFC 8291's example.
KEYS = {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkN"
    "toIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}


async def update(api: Served, **given: object) -> dict[str, Any]:
    data = await api.ada.ask(UPDATE, input=given)
    payload: dict[str, Any] = data["notificationPreferencesUpdate"]
    return payload


async def test_what_is_chosen_is_kept_and_the_rest_stays(api: Served) -> None:
    before = (await api.ada.ask(ASK))["notificationPreferences"]
    quiet = {"days": [1, 2, 7], "start": "22:00", "end": "07:30"}
    default = {"onDay": {"time": "09:00"}, "channels": ["PUSH"]}

    changed = await update(
        api,
        choices=[{"category": "OVERDUE", "channel": "EMAIL", "isOn": True}],
        quietHours=[quiet],
        lateKeep="P2D",
        defaults=[default],
    )
    await update(api, digestAt="06:15")

    assert changed["userErrors"] == []
    after = (await api.ada.ask(ASK))["notificationPreferences"]
    assert after == {
        **before,
        "choices": [
            {**one, "isOn": True}
            if (one["category"], one["channel"]) == ("OVERDUE", "EMAIL")
            else one
            for one in before["choices"]
        ],
        "quietHours": [quiet],
        "lateKeep": "PT48H",
        "digestAt": "06:15",
        "defaults": [
            {
                "beforeDue": None,
                "onDay": {"time": "09:00", "daysBefore": 0},
                "channels": ["PUSH"],
                "nag": None,
            }
        ],
    }


async def test_a_new_task_with_a_due_gets_the_default_set(api: Served) -> None:
    await update(api, defaults=[{"beforeDue": "PT15M", "channels": ["IN_APP"]}])
    mine = await api.ada.create("Buy milk", due=DUE)
    bare = await api.ada.create("Some day")
    none = await api.ada.create("Quietly", due=DUE, reminders=[])

    query = "query ($id: ID!) { task(id: $id) { reminders { beforeDue at } } }"
    found = [
        (await api.ada.ask(query, id=task["id"]))["task"]["reminders"]
        for task in (mine, bare, none)
    ]
    assert found == [[{"beforeDue": "PT15M", "at": "2027-03-01T10:45:00+00:00"}], [], []]


async def test_what_could_never_be_sent_is_refused_and_changes_nothing(api: Served) -> None:
    before = await api.ada.ask(ASK)
    whole_week = {"days": [1, 2, 3, 4, 5, 6, 7], "start": "00:00", "end": "00:00"}
    for given, field in (
        ({"quietHours": [whole_week]}, "quietHours"),
        ({"quietHours": [{"days": [8], "start": "22:00", "end": "07:00"}]}, "quietHours"),
        ({"quietHours": [{"days": [], "start": "22:00", "end": "07:00"}]}, "quietHours"),
        ({"lateKeep": "PT1S"}, "lateKeep"),
        ({"defaults": [{"channels": ["IN_APP"]}]}, "defaults"),
        ({"defaults": [{"beforeDue": "P900D", "channels": ["IN_APP"]}]}, "defaults"),
        ({"choices": [{"category": "TEST", "channel": "PUSH", "isOn": False}]}, "choices"),
    ):
        payload = await update(api, **given)
        assert [one["code"] for one in payload["userErrors"]] == ["INVALID"], given
        assert payload["userErrors"][0]["field"][1] == field
    assert await api.ada.ask(ASK) == before


async def test_a_browser_inside_the_network_is_refused(api: Served) -> None:
    for endpoint in (
        "https://127.0.0.1/push",
        "https://10.0.0.7/push",
        "https://[64:ff9b::7f00:1]/push",
        "https://169.254.169.254/latest",
        "https://localhost/push",
        "http://push.example/x",
        "https://user:secret@push.example/",
        "https://2130706433/",
    ):
        data = await api.ada.ask(SUBSCRIBE, input={"endpoint": endpoint, **KEYS})
        payload = data["pushSubscriptionAdd"]
        assert payload["pushSubscription"] is None
        [error] = payload["userErrors"]
        assert (error["code"], error["field"]) == ("INVALID", ["input", "endpoint"])


async def test_a_browser_is_added_once_and_removed(api: Served) -> None:
    # A literal address needs no look-up, and nothing is sent there.
    endpoint = "https://1.1.1.1/push/one"
    made = [
        (await api.ada.ask(SUBSCRIBE, input={"endpoint": endpoint, **KEYS}))["pushSubscriptionAdd"]
        for _ in range(2)
    ]
    assert made[0] == made[1]
    shown = (await api.ada.ask(ASK))["notificationPreferences"]["pushSubscriptions"]
    assert shown == [made[0]["pushSubscription"]]

    remove = """mutation ($id: ID!) {
        pushSubscriptionRemove(id: $id) { pushSubscriptionId userErrors { code } } }"""
    gone = await api.ada.ask(remove, id=shown[0]["id"])
    assert gone["pushSubscriptionRemove"] == {
        "pushSubscriptionId": shown[0]["id"],
        "userErrors": [],
    }
    again = await api.ada.ask(remove, id=shown[0]["id"])
    assert again["pushSubscriptionRemove"]["userErrors"] == [{"code": "NOT_FOUND"}]
