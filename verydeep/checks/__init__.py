"""Checks of a data set before training; they never change it."""
