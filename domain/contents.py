"""What each delivery says, from what is true when it is sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain import wording
from domain.channels import Category, Content
from domain.deliveries import Delivery
from domain.tasks import Task
from domain.wording import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A delivery with what it is about.

    `by` is the name of who assigned the task, `url` where a mailbox is shown to be one's own.
    """

    delivery: Delivery
    task: Task | None
    by: str = ""
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """A person's open tasks that are due on a day of theirs, and those that should have been."""

    due_today: Sequence[Task] = ()
    late: Sequence[Task] = ()


def content(subject: Subject, agenda: Agenda, to: Reader) -> Content | None:
    """Returns what a delivery says, None where its task is no more."""
    delivery, task = subject.delivery, subject.task
    if delivery.category is Category.DIGEST:
        day = delivery.due_at.astimezone(to.zone).date()
        return wording.digest(agenda.due_today, agenda.late, day, to)
    if delivery.category is Category.VERIFICATION:
        return wording.verification(subject.url)
    if delivery.category is Category.TEST:
        return wording.test()
    if task is None:
        return None
    if delivery.category is Category.ASSIGNMENT:
        return wording.assignment(task, subject.by or "somebody", to)
    if delivery.category is Category.OVERDUE:
        return wording.overdue(task, to)
    return wording.reminder(task, to, meant_for=delivery.due_at, nag=delivery.nag)


def together(first: Content, others: Sequence[Subject], to: Reader) -> Content:
    """Returns the one content for a delivery and those that were collapsed into it."""
    told = (content(one, Agenda(), to) for one in sorted(others, key=_due_at, reverse=True))
    contents = [first, *(one for one in told if one is not None)]
    return wording.summary(contents) if len(contents) > 1 else first


def _due_at(subject: Subject) -> datetime:
    return subject.delivery.due_at
