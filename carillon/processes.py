"""The kinds of processes, each with what it is composed of."""

from typing import Final

from carillon.compose import application
from carillon.recurrence import recurrence
from carillon.relay import relay
from carillon.serve import Process
from workers import routes

API: Final = Process(name="API", port=routes.API.port, compose=application, path="/graphql")
RECURRENCE: Final = Process(
    name="recurrence worker", port=routes.RECURRENCE.port, compose=recurrence
)
RELAY: Final = Process(name="relay", port=routes.RELAY.port, compose=relay)
