"""Export of trained nets to files that other runtimes read."""
