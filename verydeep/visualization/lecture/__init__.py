"""The lecture's figures, drawn from what the library itself computes.

Each figure has a file: pure functions that return its numbers, and one that draws them.
"""
