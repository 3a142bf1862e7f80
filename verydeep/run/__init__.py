"""Complete runs: train and test a model on a data set; test and apply trained models."""
