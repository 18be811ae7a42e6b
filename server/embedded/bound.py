"""Runs a command that dies with the process that started it: `python bound.py PARENT_PID SIGNAL COMMAND ...`.

The kernel sends SIGNAL when the parent ends, whatever ended it, kill -9 included. The setting survives exec, so any
program can be bound this way, and doing it here instead of between fork and exec keeps the parent free of hooks that
run in a half-copied process. Only the standard library: this file is run without site-packages.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Bind this process to its parent and become COMMAND."""
    parent, signal_number, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    # The parent may have died before the call above: then nobody would ever tell us.
    if os.getppid() != parent:
        sys.exit(0)
    os.execvp(command[0], command)  # noqa: S606 - the command comes from our own table


if __name__ == "__main__":
    main(sys.argv[1:])
