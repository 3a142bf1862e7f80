"""Devices, processes, files, locks, progress and text formats."""
