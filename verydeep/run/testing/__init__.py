"""Tests of trained models on data sets, and the files that they write."""
