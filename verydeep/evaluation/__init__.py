"""Evaluation: views of an image, posteriors averaged over them, errors over a data set."""
