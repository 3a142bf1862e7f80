"""One image: decode it safely, name its kind, find it on disk."""
