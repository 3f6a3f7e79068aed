"""Runs a command that dies with whoever started it: `python lifeline.py PARENT COMMAND [ARGS]`.

A testnet that is killed with SIGKILL cleans up nothing, so the kernel has to: PR_SET_PDEATHSIG (Linux) kills this
process when the thread that started it ends, and stays in force across exec. It is set here, after the fork and in the
child's own interpreter, because Python code between fork and exec is not safe beside the threads of gRPC. Other systems
lack it: there only SIGKILL of the testnet leaves its processes behind.

Run by path, so it imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to the parent, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
        if os.getppid() != parent:  # it ended before the line above
            sys.exit("the parent is gone")
    os.execvp(command[0], command)  # noqa: S606 - becoming the command is the point


if __name__ == "__main__":
    main()
