"""Exported nets: files of other runtimes that classify images without PyTorch."""
