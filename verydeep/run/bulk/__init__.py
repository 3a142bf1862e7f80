"""Bulk work on many images by actors of Ray, in numbered parts that a restart does not repeat."""
