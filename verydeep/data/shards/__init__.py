"""WebDataset tar shards: read by index or as a stream, and written."""
