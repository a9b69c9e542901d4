"""Checks of this machine: programs, kernel features, memory, disk space, ports and addresses.

Checks change nothing on the machine, and what they ask for is installed elsewhere.
"""
