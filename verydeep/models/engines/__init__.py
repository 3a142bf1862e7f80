"""Engines: what computes the answers of a trained net."""
