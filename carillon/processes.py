"""The kinds of processes, each with what it is composed of."""

from typing import Final

from carillon.compose import application
from carillon.notifications import notifications
from carillon.recurrence import recurrence
from carillon.relay import relay
from carillon.serve import Process
from workers import routes

API: Final = Process(name="API", port=routes.API.port, compose=application, path="/graphql")
NOTIFICATIONS: Final = Process(
    name="notifications worker", port=routes.NOTIFICATIONS.port, compose=notifications
)
RECURRENCE: Final = Process(
    name="recurrence worker", port=routes.RECURRENCE.port, compose=recurrence
)
RELAY: Final = Process(name="relay", port=routes.RELAY.port, compose=relay)
