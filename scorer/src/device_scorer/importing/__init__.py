"""Conversion of foreign data: CSV dumps, and models in single files.

The command line belongs to cli.
"""
