"""Run a command and say what it cost: ``python -I -S bench/measure_process.py COMMAND...``.

A process of its own, and one that imports next to nothing: Linux counts the memory of whoever starts a program into
its peak (execve(2) keeps ru_maxrss), and the bench itself is larger than what it measures.
The last line of standard output is the exit code, CPU seconds (user + system) and peak RSS in MiB.
"""

import os
import sys

if __name__ == "__main__":
    child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
    _, status, usage = os.wait4(child, 0)
    print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
