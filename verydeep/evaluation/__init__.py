"""Measuring: views of a picture, posteriors averaged over them, errors over a data set."""
