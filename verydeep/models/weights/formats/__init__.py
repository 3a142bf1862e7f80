"""Readers of weights, a package a format, whose ``reader`` has ``matches`` and ``read``."""
