"""Which names stand for zones that somebody can live in."""

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# The longest IANA name has 32 characters; the lookup must not see a path.
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}")
# IANA's stand-in for a zone that nobody has set; its times have the offset "-00".
NOWHERE = "Factory"


def zone_named(name: object) -> ZoneInfo | None:
    """Returns the zone of an IANA name; None for anything else."""
    if not isinstance(name, str) or name == NOWHERE or not _ZONE.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
