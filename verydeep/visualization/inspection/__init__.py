"""Drawings and page of ``verydeep explain``: activations, receptive fields and attributions."""
