"""What a task's state shows of the things it refers to, as a look found them."""

from domain.ports import Seen
from domain.tasks import Display, Task


def display(task: Task, seen: Seen) -> Display:
    """Returns the task's labels and assignee."""
    tags = (seen.labels.get(tag) for tag in task.tag_ids)
    return Display(
        category=seen.labels.get(task.category_id) if task.category_id else None,
        tags=tuple(tag for tag in tags if tag is not None),
        assignee=seen.users.get(task.assignee_id) if task.assignee_id else None,
    )
