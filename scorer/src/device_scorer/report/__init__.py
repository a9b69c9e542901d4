"""The report of a window: collection, statistics, the files and the HTML page.

The command line belongs to cli.
"""
