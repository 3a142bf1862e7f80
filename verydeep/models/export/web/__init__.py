"""A trained net as one HTML page that classifies images in the browser, without a network."""
