"""Lecture figures of a trained net and a photograph.

As with the other figures, each has pure functions for its numbers and one function that draws it;
the text alternative is written from the same numbers.
"""
