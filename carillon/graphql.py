"""The GraphQL schema, put together from its areas."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from resolvers.accounts import AccountMutation
from resolvers.changes import ChangeQuery, ChangeSubscription
from resolvers.labels import LabelMutation
from resolvers.notifications import (
    NotificationMutation,
    NotificationQuery,
    NotificationSubscription,
)
from resolvers.preferences import PreferenceMutation, PreferenceQuery
from resolvers.series import SeriesMutation, SeriesQuery
from resolvers.tasks import TaskMutation, TaskQuery
from resolvers.workspaces import WorkspaceMutation, WorkspaceQuery
from schema.changes import CaughtUp, Change, ResyncRequired
from schema.notifications import Notification
from schema.scalars import SCALARS


@strawberry.type
class Query(
    WorkspaceQuery, TaskQuery, SeriesQuery, ChangeQuery, NotificationQuery, PreferenceQuery
):
    pass


@strawberry.type
class Mutation(
    AccountMutation,
    WorkspaceMutation,
    LabelMutation,
    TaskMutation,
    SeriesMutation,
    NotificationMutation,
    PreferenceMutation,
):
    pass


@strawberry.type
class Subscription(ChangeSubscription, NotificationSubscription):
    pass


def build() -> strawberry.Schema:
    """Returns the schema."""
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[Change, CaughtUp, ResyncRequired, Notification],
        config=StrawberryConfig(scalar_map=SCALARS),
    )


def sdl() -> str:
    """Returns the schema as clients see it, for `schema/schema.graphql`."""
    return build().as_str() + "\n"
