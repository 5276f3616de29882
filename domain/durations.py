"""Durations as ISO 8601 writes them: days of the calendar, then an exact span."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

_FORM: Final = re.compile(
    r"P(?!$)(?:(\d{1,5})W)?(?:(\d{1,6})D)?"
    r"(?:T(?!$)(?:(\d{1,7})H)?(?:(\d{1,9})M)?(?:(\d{1,10})S)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """So many days, each as long as it is there and then, and so long beyond them."""

    days: int = 0
    span: timedelta = timedelta()


def parse(text: str) -> Duration | None:
    """Returns what the text says, such as P1D, PT30M or P1W; None for anything else.

    Months and years have no one length, and fractions are of no use here.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return Duration(
        days=7 * weeks + days, span=timedelta(hours=hours, minutes=minutes, seconds=seconds)
    )


def duration_text(duration: Duration) -> str:
    """Returns the one text of a duration."""
    minutes, seconds = divmod(int(duration.span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n)
    days = f"{duration.days}D" if duration.days else ""
    if parts:
        return f"P{days}T{parts}"
    return f"P{days}" if days else "PT0S"
