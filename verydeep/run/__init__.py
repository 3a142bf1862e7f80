"""Whole runs: from a data set to a trained and tested model in a folder, and tests of models."""
