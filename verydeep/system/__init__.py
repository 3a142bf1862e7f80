"""The machine and its files: devices, processes, locks, progress, text formats."""
