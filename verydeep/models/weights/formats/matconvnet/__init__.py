"""Reader of weights of MatConvNet."""
