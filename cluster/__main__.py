"""`python -m cluster parts`: gets daprd and Kafka once into the cache."""

import sys

from cluster.parts import PARTS, PartFailed, PartMissing


def main() -> int:
    """Returns the exit code: a part whose tools are missing is left out, and that is no failure."""
    code = 0
    for part in PARTS:
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


sys.exit(main())
