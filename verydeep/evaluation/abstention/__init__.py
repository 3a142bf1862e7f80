"""Abstention: promises, what is learned to keep them, and how often a classifier answers."""
