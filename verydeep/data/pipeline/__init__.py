"""From samples to batches on the device: crops, augmentation, sampling, workers."""
