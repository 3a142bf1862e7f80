"""Command-line program, with one module per verb or group of verbs."""
