"""Files of weights, run by the libraries that they come from."""
