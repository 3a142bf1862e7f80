"""Walks over folders of images: links, system files, and counts of skipped files."""
