"""Readers of weights by file format; each has ``matches(head, path)`` and ``read(path)``."""
