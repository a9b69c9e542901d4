"""Run a command and print its cost: ``python -I -S bench/measure_process.py COMMAND...``.

This is a small process of its own, because Linux includes the memory of the starting process in a program's peak
(execve(2) keeps ru_maxrss), and the benchmark uses more memory than the measured program.
Processes that the program leaves behind, such as those of scikit-learn, become children of this one (prctl(2)), and
their CPU time counts too. The last line of standard output has the exit code, the CPU seconds (user and system) and the
peak RSS of the program in MiB.
"""

import ctypes
import os
import sys

_PR_SET_CHILD_SUBREAPER = 36


def wait_for_others() -> float:
    """Wait for the processes that the program left behind, and return their CPU seconds."""
    seconds = 0.0
    while True:
        try:
            _, _, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return seconds
        seconds += usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
    _, status, usage = os.wait4(child, 0)
    cpu_seconds = usage.ru_utime + usage.ru_stime + wait_for_others()
    print(os.waitstatus_to_exitcode(status), cpu_seconds, usage.ru_maxrss / 1024)
