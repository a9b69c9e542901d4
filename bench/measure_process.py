"""Run a command and print its cost: ``python -I -S bench/measure_process.py COMMAND...``.

This is a small process of its own, because Linux includes the memory of the starting process in a program's peak
(execve(2) keeps ru_maxrss), and the benchmark uses more memory than the measured program.
The last line of standard output has the exit code, the CPU seconds (user and system) and the peak RSS in MiB.
"""

import os
import sys

if __name__ == "__main__":
    child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
    _, status, usage = os.wait4(child, 0)
    print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
