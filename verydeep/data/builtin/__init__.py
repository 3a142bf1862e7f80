"""Data sets by name: the built-in digits, and well-known sets from torchvision."""
