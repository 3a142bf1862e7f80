"""Engines: backends that compute the outputs of a trained net."""
