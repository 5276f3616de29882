"""Becomes another program, which dies when its parent does: `python guard.py PARENT COMMAND ...`.

Run as a file, by `cluster.processes`: nothing of ours is imported, so that it takes 15 ms.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Never returns."""
    parent, *command = sys.argv[1:]
    # Elsewhere than on Linux an orphan can survive a killed run; a stopped one leaves none.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent):
            sys.exit("the parent died first")
    os.execvp(command[0], command)  # noqa: S606 - what it is for


main()
