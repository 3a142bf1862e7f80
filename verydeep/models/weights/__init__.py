"""Weights of other libraries, converted to models of this package."""
