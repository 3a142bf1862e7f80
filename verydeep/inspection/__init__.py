"""Inspection of trained nets: activations, receptive fields, attributions and class models."""
