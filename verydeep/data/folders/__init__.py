"""Walk over folders of images: links, system files, and what is passed over."""
