"""The names by which the processes reach each other: app-ids, ports, topics, routes.

`kustomize/` says the same in YAML; `tests/contract/test_manifests.py` holds the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.outbox import Topic

HEALTH_PATH = "/healthz"
READINESS_PATH = "/readyz"
METRICS_PATH = "/metrics"
# Whatever one process asks of another lies under it: access control allows nothing else. What is
# refused there is answered with 200 and said in the body: to daprd any 4xx is a failure, and after
# some of them it lets no call through. All of it can be asked twice, for daprd tries again.
INVOKE_PREFIX = "/invoke/"

# Names of Dapr components, and of what is in them.
PUBSUB = "pubsub"
STATE_STORE = "state"
SECRET_STORE = "secrets"  # noqa: S105 - its name
# One secret of the store, whose keys are named as the settings are: CARILLON_DATABASE_URL, ...
SECRET = "carillon"  # noqa: S105 - its name


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A process as Dapr and Kubernetes see it.

    Attributes:
        id: app-id, Deployment and consumer group.
        port: where it listens.
        command: what starts it, after `carillon`.
        subscriptions: the path where each topic's events arrive, one event a POST.
        bindings: where cron ticks arrive, by the binding's name; to daprd, any answer but 200 is an
            error.
        dead_letters: the topic of events that cannot be parsed or parked.
        components: of Dapr, besides the bindings, that its sidecar has to load.
    """

    id: str
    port: int
    command: tuple[str, ...]
    subscriptions: Mapping[Topic, str] = field(default_factory=dict)
    bindings: Mapping[str, str] = field(default_factory=dict)
    dead_letters: str | None = None
    components: frozenset[str]


API = App(
    id="carillon-api",
    port=8000,
    command=("serve",),
    components=frozenset({STATE_STORE, SECRET_STORE}),
)
NOTIFICATIONS = App(
    id="carillon-notifications",
    port=8001,
    command=("worker", "notifications"),
    subscriptions={
        Topic.TASK_EVENTS: "/events/task-events",
        Topic.REMINDERS: "/events/reminders",
    },
    bindings={"reminder-checker": "/reminder-checker"},
    dead_letters="notifications-dead-letters",
    components=frozenset({PUBSUB, STATE_STORE, SECRET_STORE}),
)
RECURRENCE = App(
    id="carillon-recurrence",
    port=8002,
    command=("worker", "recurrence"),
    subscriptions={Topic.TASK_EVENTS: "/events/task-events"},
    bindings={"recurring-processor": "/recurring-processor"},
    dead_letters="recurrence-dead-letters",
    components=frozenset({PUBSUB, SECRET_STORE}),
)
RELAY = App(
    id="carillon-relay",
    port=8003,
    command=("relay",),
    bindings={"daily-cleanup": "/daily-cleanup"},
    components=frozenset({PUBSUB, SECRET_STORE}),
)
APPS = (API, NOTIFICATIONS, RECURRENCE, RELAY)
DEAD_LETTERS = tuple(app.dead_letters for app in APPS if app.dead_letters is not None)
