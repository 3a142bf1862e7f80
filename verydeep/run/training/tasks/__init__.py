"""Tasks of a training run: what is specific to classes, labels and boxes."""
