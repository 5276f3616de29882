"""Writes debian_cron.json: what Debian's own cron ran, minute by minute, around clock changes.

    apt-get download cron && dpkg-deb -x cron_*.deb cron
    sudo .venv/bin/python -m tests.golden.debian_cron cron/usr/sbin/cron

Needs Linux, root (for a mount namespace of its own: nothing outside is touched) and cc. The time
that cron sees comes from virtual_clock.c, zone data from the pinned `tzdata`; so a year passes in
a minute, and every run gives the same file.
"""

import importlib.metadata
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import chain, pairwise
from pathlib import Path
from zoneinfo import ZoneInfo, reset_tzpath

HERE = Path(__file__).parent
GOLDEN = HERE / "debian_cron.json"
MINUTE = timedelta(minutes=1)
# A fixed job left out by a gap runs right after it, but after each such minute cron sleeps for ten
# seconds: lines with more than five of them in one gap run into later minutes, and are not here.
FIXED = (
    "0 0 * * *",
    "5 0 * * *",
    "30 0 * * *",
    "15 1 * * *",
    "30 1 * * *",
    "0 2 * * *",
    "30 2 * * *",
    "45 2 * * *",
    "0 3 * * *",
    "0,30 2 * * *",
    "15 1-3 * * *",
    "30 0-23 * * *",
    "0 0-23/2 * * *",
    "30 2 * * 7",
    "30 2 */1 * 0-7",
    "@daily",
)
WILDCARD = (
    "*/10 * * * *",
    "30 * * * *",
    "*/30 2 * * *",
    "*/20 0,1,2,3 * * *",
    "0 */2 * * *",
    "15 */1 * * *",
    "*,5 2 * * *",
    "@hourly",
)
# Zone, a day near the change, hours to look around it.
CHANGES = (
    ("UTC", "2027-03-28", 8),
    ("America/New_York", "2027-03-14", 8),
    ("America/New_York", "2027-11-07", 8),
    ("Europe/Paris", "2027-03-28", 8),
    ("Europe/Paris", "2027-10-31", 8),
    ("Australia/Lord_Howe", "2027-04-04", 8),
    ("Australia/Lord_Howe", "2027-10-03", 8),
    ("Pacific/Chatham", "2027-04-04", 8),
    ("Pacific/Chatham", "2027-09-26", 8),
    ("Antarctica/Troll", "2027-03-28", 8),
    ("Antarctica/Troll", "2027-10-31", 8),
    ("America/Santiago", "2027-04-04", 8),
    ("America/Santiago", "2027-09-05", 8),
    ("Africa/Cairo", "2027-04-30", 8),
    ("Africa/Cairo", "2027-10-29", 8),
    ("Pacific/Apia", "2011-12-30", 36),
    ("Pacific/Apia", "2012-04-01", 8),
    ("Pacific/Apia", "2012-09-30", 8),
    ("America/St_Johns", "2011-03-13", 8),
    ("America/St_Johns", "2010-11-07", 8),
    ("America/St_Johns", "2027-03-14", 8),
    ("America/St_Johns", "2027-11-07", 8),
    ("America/Havana", "2025-03-09", 8),
    ("America/Havana", "2025-11-02", 8),
    ("America/Sao_Paulo", "2018-11-04", 8),
    ("America/Sao_Paulo", "2019-02-17", 8),
    ("Africa/Casablanca", "2026-02-15", 8),
    ("Africa/Casablanca", "2026-03-22", 8),
    ("Asia/Tehran", "2022-03-22", 8),
    ("Asia/Tehran", "2022-09-21", 8),
    ("Europe/Dublin", "2027-03-28", 8),
    ("Antarctica/Casey", "2020-10-04", 8),
    ("Antarctica/Casey", "2021-03-14", 8),
)
# Day fields, each at noon of two years, the second a leap year.
DAYS = (
    "* * *",
    "1 * *",
    "31 * *",
    "*/2 * *",
    "1-31/2 * *",
    "29 2 *",
    "30,31 * *",
    "1,15 * *",
    "* 2 *",
    "* */3 *",
    "* jan,JUL *",
    "* 2-4 *",
    "* * 0",
    "* * 7",
    "* * 1-5",
    "* * 5-7",
    "* * 0,6",
    "* * */2",
    "* * 1-7/2",
    "* * mon-fri",
    "* * sun",
    "* * Sat",
    "13 * 5",
    "13 * */5",
    "*/13 * 5",
    "*/2 * 1",
    "1-31 * 1",
    "1-7 * */7",
    "*,13 * 5",
    "1,15 * 3",
    "1,15 2 3",
    "29 2 1",
    "31 4 1",
    "*/10 3 7",
    "8-14 * tue",
    "08 * 1",
    "10 * *,1",
    "*/40 * *",
)
BEGIN = datetime(2027, 1, 1, tzinfo=UTC)
LENGTH = timedelta(days=731)


def main(cron: Path) -> None:
    """Runs all cases, in a namespace where cron's folders are empty."""
    reset_tzpath(())
    for folder in ("/var/spool", "/run", "/etc/cron.d"):
        subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
    with tempfile.TemporaryDirectory() as folder:
        clock = Path(folder) / "clock.so"
        source = str(HERE / "virtual_clock.c")
        build = ["cc", "-shared", "-fPIC", "-w", "-o", str(clock), source]
        subprocess.run(build, check=True)
        log = Path(folder) / "log"
        machine = Machine(cron.resolve(), clock, log)
        golden = {
            "tzdata": importlib.metadata.version("tzdata"),
            "changes": [machine.around(*change) for change in CHANGES],
            "days": machine.days(),
        }
    GOLDEN.write_text(json.dumps(golden, separators=(",", ":")).replace("},", "},\n") + "\n")


class Machine:
    """Debian's cron, with a crontab and a time of our own."""

    def __init__(self, cron: Path, clock: Path, log: Path) -> None:
        self._cron, self._clock, self._log = cron, clock, log
        self._crontab = Path("/var/spool/cron/crontabs/root")
        self._crontab.parent.mkdir(parents=True)

    def around(self, zone: str, day: str, hours: int) -> dict[str, object]:
        """Returns the runs of all lines around the change of that day, in minutes."""
        at = _change(ZoneInfo(zone), datetime.fromisoformat(day).replace(tzinfo=UTC))
        begin, end = at - timedelta(hours=hours), at + timedelta(hours=hours)
        runs = {}
        for line in chain(FIXED, WILDCARD):
            ran = self._run([f"{line} 0"], zone, begin, end)
            runs[line] = sorted({(moment - begin) // MINUTE for moment, _ in ran})
        return {
            "zone": zone,
            "begin": begin.isoformat(),
            "end": end.isoformat(),
            "runs": runs,
        }

    def days(self) -> dict[str, object]:
        """Returns the days on which each line runs, from 0."""
        crontab = [f"0 12 {line} {index}" for index, line in enumerate(DAYS)]
        runs: dict[str, list[int]] = {line: [] for line in DAYS}
        for moment, index in self._run(crontab, "UTC", BEGIN, BEGIN + LENGTH):
            runs[DAYS[index]].append((moment - BEGIN).days)
        return {
            "begin": BEGIN.date().isoformat(),
            "length": LENGTH.days,
            "runs": {line: sorted(days) for line, days in runs.items()},
        }

    def _run(
        self, lines: list[str], zone: str, begin: datetime, end: datetime
    ) -> list[tuple[datetime, int]]:
        self._crontab.write_text("\n".join(lines) + "\n")
        self._crontab.chmod(0o600)
        self._log.write_text("")
        environment = {
            "TZ": zone,
            "TZDIR": str(files("tzdata") / "zoneinfo"),
            "LD_PRELOAD": str(self._clock),
            # It runs nothing in the minute in which it starts.
            "CLOCK_BEGIN": str(int((begin - MINUTE).timestamp())),
            "CLOCK_END": str(int(end.timestamp())),
            "CLOCK_LOG": str(self._log),
        }
        subprocess.run([self._cron, "-f"], env=environment, check=True)
        ran = (line.split() for line in self._log.read_text().splitlines())
        return [(datetime.fromtimestamp(int(at), UTC), int(index)) for at, index in ran]


def _change(zone: ZoneInfo, day: datetime) -> datetime:
    """Returns the minute of the clock change within two days; noon where there is none."""
    minutes = [day - timedelta(days=1) + MINUTE * at for at in range(3 * 24 * 60)]
    for before, after in pairwise(minutes):
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            return after
    return day + timedelta(hours=12)


if __name__ == "__main__":
    if sys.argv[2:] != ["inside"]:
        again = [sys.executable, "-m", "tests.golden.debian_cron", sys.argv[1], "inside"]
        sys.exit(subprocess.run(["unshare", "--mount", *again], check=False).returncode)
    main(Path(sys.argv[1]))
