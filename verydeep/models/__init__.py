"""Trained nets with their classes and preprocessing: load, save, predict."""
