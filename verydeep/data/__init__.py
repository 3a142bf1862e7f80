"""From files to batches: what stands on disk, safe decoding, augmentation, loading."""
