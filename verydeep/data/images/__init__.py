"""Single images: safe decoding, formats, and files on disk."""
