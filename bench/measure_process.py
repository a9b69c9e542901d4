"""Run a command and print its cost: ``python -I -S bench/measure_process.py COMMAND...``.

Linux includes the memory of the starting process in a program's peak (execve(2) keeps ru_maxrss). The benchmark uses
more memory than the measured program, so this small process starts the program. Processes that the program leaves
behind, such as those of scikit-learn, become children of this one (prctl(2)), and their CPU time counts too. The last
line of standard output has the exit code, the CPU seconds (user and system) and the peak RSS of the program in MiB.
"""

import ctypes
import os
import sys

_PR_SET_CHILD_SUBREAPER = 36


def wait_for_all(child: int) -> tuple[int, float, float]:
    """Wait for a program and for the processes that it leaves behind, in the order of their ends.

    A process that is not waited for keeps its number, and a pid namespace does not end before all of its processes.

    Returns:
        The exit code of the program, the CPU seconds of all processes, and the peak RSS of the program in MiB.
    """
    exit_code, cpu_seconds, peak_mib = 0, 0.0, 0.0
    while True:
        try:
            process, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return exit_code, cpu_seconds, peak_mib
        cpu_seconds += usage.ru_utime + usage.ru_stime
        if process == child:
            exit_code, peak_mib = os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    program = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
    print(*wait_for_all(program))
