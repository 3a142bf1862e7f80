"""A reproduction of the paper as data: what is trained and tested, and what came out.

Nothing here trains: :mod:`verydeep.run.reproduce` does.
"""
