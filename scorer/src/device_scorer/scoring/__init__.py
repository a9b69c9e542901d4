"""Scoring of one device, and of many devices in one process.

The command line belongs to cli.
"""
