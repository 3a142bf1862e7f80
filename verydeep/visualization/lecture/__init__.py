"""Lecture figures, drawn from the library's own computations.

Each figure has a module with pure functions for its numbers and one function that draws it.
"""
