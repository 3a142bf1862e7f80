"""Images in tar archives after WebDataset: read by index or as a stream, and written."""
