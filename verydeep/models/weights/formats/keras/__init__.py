"""Reader of weights of Keras."""
