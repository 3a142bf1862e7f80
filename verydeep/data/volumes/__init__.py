"""Volumes: images with a third axis of space, from arrays, NIfTI files or folders of slices."""
