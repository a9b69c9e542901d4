"""Programs, Debian packages and images, built or installed from pinned sources.

Code that starts programs of a cluster or a node lives elsewhere.
"""
