"""What `make` calls: `python -m cluster parts`, `up`, and `validate FOLDER`."""

import sys
from pathlib import Path

from cluster.parts import PARTS, PGBOUNCER, PartFailed, PartMissing
from cluster.up import FOLDER, up
from cluster.validator import validate


def parts() -> int:
    """Gets Dapr, Kafka and PgBouncer once into the cache.

    Returns the exit code: a part whose tools are missing is left out, and that is no failure.
    """
    code = 0
    for part in (*PARTS, PGBOUNCER):
        try:
            if part.to_be_made():
                sys.stdout.write(f"{part.name}: made once, {part.duration} ...\n")
                sys.stdout.flush()
            sys.stdout.write(f"{part.name}: {part.get()}\n")
        except PartMissing as missing:
            sys.stdout.write(f"{missing}: left out, and the tests that need it.\n")
        except PartFailed as failed:
            sys.stdout.write(f"{part.name}: {failed}\n")
            code = 1
    return code


match sys.argv[1:]:
    case ["parts"]:
        sys.exit(parts())
    case ["up"]:
        sys.exit(up(FOLDER))
    case ["validate", folder]:
        sys.exit(validate(Path(folder)))
    case _:
        sys.exit(__doc__)
