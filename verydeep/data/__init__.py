"""From files to batches: layouts on disk, safe decoding, augmentation, loading."""
