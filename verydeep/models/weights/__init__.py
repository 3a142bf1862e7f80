"""Weights of other libraries as models of this package."""
