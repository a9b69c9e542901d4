"""Checks of this machine: programs, kernel features, memory, disk space, ports and addresses.

Checks do not change the machine. Code that installs packages lives elsewhere.
"""
