"""Tests of trained models on data sets, and their output files."""
