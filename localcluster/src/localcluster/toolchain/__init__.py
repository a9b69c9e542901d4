"""The pinned sources and how they become programs, packages and images.

Tools that run on a cluster or a node live elsewhere.
"""
