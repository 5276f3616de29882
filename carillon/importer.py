"""`carillon import`: takes the tasks of iCalendar files into a workspace of a running server.

As a client of the public API, so that every task is checked, logged and seen live as if a person
had made it. Ids come from the UIDs: a second run finds everything there and changes nothing.
"""

import getpass
import json
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from carillon.import_plan import Draft, drafts, tag_input, task_input
from carillon.import_report import Report, write
from domain.text import sort_key
from infra.graphql_client import GraphQLClient, Unanswered
from infra.ical import read

# Mutations of one request: enough to make the round trip cheap, few enough for the query's cost.
BATCH_MAX = 20
# Below the server's limit for a body, 512 kB, by what one more task may add.
BATCH_MAX_BYTES = 100_000
# One page of answers.
LOOKUP_MAX = 100

HELP = """
What becomes of a VTODO: SUMMARY, DESCRIPTION, STATUS and DUE (or DTSTART with DURATION) are taken
as they are, a DUE without a zone in yours. PRIORITY 1 is URGENT, 2 to 4 HIGH, 5 and none MEDIUM,
6 to 9 LOW. CATEGORIES become tags, made where they are missing. RELATED-TO makes subtasks.

RRULE with RDATE and EXDATE makes a series, whose first occurrence the task is. Where that cannot be
(the rule does not hit the due, say), and of what is done or an exception (RECURRENCE-ID), they are
kept as they are written, with the DTSTART that anchors them, in a fenced block (```ics) at the end
of the description. Whatever else there is, alarms and
attachments among it, is named at the end with its UIDs, five each; --report writes all of them.

Running it again changes nothing: tasks that are there, or in the trash, are left as they are.
Exit code: 0 all is there; 1 something was left out or is not as the file says; 2 nothing was done.
"""

SIGN_IN = """mutation SignIn($input: SignInInput!) {
  signIn(input: $input) { accessToken userErrors { message } } }"""
WORKSPACES = "{ viewer { workspaces { id name head tags { id name } } } }"
LOOKUP = """query Known($workspace: ID!, $ids: [ID!]!) {
  live: tasks(workspaceId: $workspace, filter: {id: {in: $ids}}, first: 100) { nodes { id } }
  trashed: tasks(workspaceId: $workspace, filter: {id: {in: $ids}, isDeleted: true}, first: 100) {
    nodes { id } } }"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The workspace to fill: where its log stood, and its tags' ids by sort key."""

    id: UUID
    name: str
    head: int
    tags: Mapping[str, str]


def configure(parser: ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.epilog, parser.formatter_class = HELP, RawDescriptionHelpFormatter
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.ics")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="of the running server")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--email", help="sign in as; asks for the password, or reads it from a pipe")
    # No option for the token itself: other users of the machine see the arguments of a process.
    who.add_argument("--token-file", type=Path, help="file with an access token, instead")
    parser.add_argument(
        "--workspace", type=UUID, metavar="ID", help="needed where you have several"
    )
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="write all UIDs there")


def run(arguments: Namespace) -> int:
    """Imports the files, one after the other.

    Returns:
        0 where every task is in the workspace as its file says, 1 where something was left out
        or could not be read, 2 where nothing could be done.
    """
    reports: list[Report] = []
    try:
        with closing(GraphQLClient(arguments.url)) as client:
            client.token = _token(client, arguments)
            for path in arguments.files:
                reports.append(_import(client, path, arguments.workspace))
                sys.stdout.write("\n".join([*reports[-1].lines(), ""]))
        if arguments.report is not None:
            write(arguments.report, reports)
    except (Unanswered, OSError) as error:
        sys.stderr.write(f"carillon import: {error}\n")
        return 2
    return 0 if all(report.is_complete() for report in reports) else 1


def _token(client: GraphQLClient, arguments: Namespace) -> str:
    if arguments.token_file is not None:
        return str(arguments.token_file.read_text().strip())
    is_person = sys.stdin.isatty()
    password = getpass.getpass() if is_person else sys.stdin.readline().rstrip("\r\n")
    given = {"input": {"email": arguments.email, "password": password}}
    payload = client.execute(SIGN_IN, given).data["signIn"]
    if not payload or not payload["accessToken"]:
        problems = payload["userErrors"] if payload else [{"message": "Signing in failed."}]
        raise Unanswered(" ".join(problem["message"] for problem in problems))
    return str(payload["accessToken"])


def _import(client: GraphQLClient, path: Path, workspace: UUID | None) -> Report:
    calendar = read(path.read_bytes())
    space = _space(client, workspace)
    report = Report(file=path.name, workspace=space.name)
    report.take(calendar)
    planned = drafts(calendar, space.id)
    for draft in planned:
        report.changed += [(draft.item.uid, problem) for problem in draft.item.problems]
    live, trashed = _known(client, space, planned)
    report.there = sum(draft.id in live for draft in planned)
    report.trashed = [draft.item.uid for draft in planned if draft.id in trashed]
    fresh = [draft for draft in planned if draft.id not in live | trashed]
    tags = _tagged(client, space, fresh, report)
    done = 0
    for batch in _batches(fresh, tags):
        _create(client, space, batch, report)
        done += len(batch)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done:,} of {len(fresh):,}" + "\n" * (done == len(fresh)))
    return report


def _space(client: GraphQLClient, wanted: UUID | None) -> Space:
    viewer = client.execute(WORKSPACES, {}).data["viewer"]
    if viewer is None:
        raise Unanswered("The token is not valid: sign in again.")
    found = [one for one in viewer["workspaces"] if wanted is None or UUID(one["id"]) == wanted]
    if len(found) != 1:
        listed = "".join(f"\n  {one['id']}  {one['name']}" for one in viewer["workspaces"])
        raise Unanswered(f"Say which of your workspaces is meant, by --workspace ID:{listed}")
    [one] = found
    return Space(
        id=UUID(one["id"]),
        name=one["name"],
        head=int(one["head"]),
        tags={sort_key(tag["name"]): tag["id"] for tag in one["tags"]},
    )


def _known(
    client: GraphQLClient, space: Space, planned: Sequence[Draft]
) -> tuple[set[UUID], set[UUID]]:
    """Returns which of the tasks are there already, and which of them lie in the trash."""
    live: set[UUID] = set()
    trashed: set[UUID] = set()
    for start in range(0, len(planned), LOOKUP_MAX):
        ids = [str(draft.id) for draft in planned[start : start + LOOKUP_MAX]]
        answer = client.execute(LOOKUP, {"workspace": str(space.id), "ids": ids})
        if answer.failures:
            raise Unanswered(f"The tasks cannot be read: {', '.join(answer.failures.values())}.")
        live |= {UUID(node["id"]) for node in answer.data["live"]["nodes"]}
        trashed |= {UUID(node["id"]) for node in answer.data["trashed"]["nodes"]}
    return live - trashed, trashed


def _tagged(
    client: GraphQLClient, space: Space, fresh: Sequence[Draft], report: Report
) -> dict[str, str]:
    """Returns the ids of all tags by sort key; creates those that the workspace lacks."""
    tags = dict(space.tags)
    missing = {
        key: name
        for draft in fresh
        for name in draft.item.tags
        if (key := sort_key(name)) not in tags
    }
    names = list(missing.values())
    for start in range(0, len(names), BATCH_MAX):
        inputs = [tag_input(space.id, name) for name in names[start : start + BATCH_MAX]]
        for given, payload in zip(inputs, _mutate(client, space, "tag", inputs), strict=True):
            if payload["userErrors"]:
                reason = f"CATEGORIES {given['name']}: {_reason(payload)}"
                key = sort_key(str(given["name"]))
                report.changed += [
                    (draft.item.uid, reason)
                    for draft in fresh
                    if key in map(sort_key, draft.item.tags)
                ]
            else:
                tags[sort_key(str(given["name"]))] = str(given["id"])
    return tags


def _batches(
    fresh: Sequence[Draft], tags: Mapping[str, str]
) -> Iterator[list[tuple[Draft, dict[str, object]]]]:
    batch: list[tuple[Draft, dict[str, object]]] = []
    size = 0
    for draft in fresh:
        known = (tags.get(sort_key(name)) for name in draft.item.tags)
        given = task_input(draft, (tag for tag in known if tag is not None))
        more = len(json.dumps(given))
        if batch and (len(batch) == BATCH_MAX or size + more > BATCH_MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((draft, given))
        size += more
    if batch:
        yield batch


def _create(
    client: GraphQLClient,
    space: Space,
    batch: Sequence[tuple[Draft, dict[str, object]]],
    report: Report,
) -> None:
    """Creates the tasks; those whose parent is refused once more, at the top where it stays so."""
    orphans: list[tuple[Draft, dict[str, object]]] = []
    reasons: dict[UUID | None, str] = {}
    payloads = _mutate(client, space, "task", [given for _, given in batch])
    for (draft, given), payload in zip(batch, payloads, strict=True):
        paths = [error["field"] or [] for error in payload["userErrors"]]
        if not paths:
            is_new = int(payload["seq"]) > space.head
            report.created += is_new
            report.there += not is_new
        elif all(path[-1:] == ["parentId"] for path in paths):
            orphans.append((draft, given))
            reasons[draft.id] = _reason(payload)
        else:
            report.left_out.append((draft.item.uid, _reason(payload)))
    again: list[tuple[Draft, dict[str, object]]] = []
    for draft, given in orphans:
        if draft.parent in reasons:
            # Its parent is sent again before it.
            again.append((draft, given))
            continue
        reason = f"It is imported without its parent. {reasons[draft.id]}"
        report.changed.append((draft.item.uid, reason))
        bare = {name: value for name, value in given.items() if name != "parentId"}
        again.append((replace(draft, parent=None), bare))
    if again:
        _create(client, space, again, report)


def _mutate(
    client: GraphQLClient, space: Space, subject: str, inputs: Sequence[dict[str, object]]
) -> list[dict[str, Any]]:
    """Returns the payloads of as many creations, made one after the other by one request."""
    kind = f"{subject.title()}CreateInput!"
    declared = "".join(f" $i{n}: {kind}" for n in range(len(inputs)))
    fields = "".join(
        f" m{n}: {subject}Create(workspaceId: $w, input: $i{n})"
        " { seq userErrors { code field message } }"
        for n in range(len(inputs))
    )
    variables: dict[str, object] = {f"i{n}": given for n, given in enumerate(inputs)}
    answer = client.execute(
        f"mutation Import($w: ID!{declared}) {{{fields} }}", {"w": str(space.id), **variables}
    )
    return [
        _payload(answer.data[f"m{n}"], answer.failures.get(f"m{n}")) for n in range(len(inputs))
    ]


def _payload(payload: dict[str, Any] | None, failure: str | None) -> dict[str, Any]:
    # A root field that failed has no payload; to the import that is a refusal like another.
    reason = {"field": None, "message": f"The server failed: {failure}."}
    return payload or {"userErrors": [reason]}


def _reason(payload: Mapping[str, Any]) -> str:
    return " ".join(
        f"{'.'.join(error['field'] or ())}: {error['message']}".removeprefix(": ")
        for error in payload["userErrors"]
    )
