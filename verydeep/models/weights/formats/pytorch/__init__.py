"""Reader of weights of PyTorch."""
