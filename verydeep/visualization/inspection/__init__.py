"""What happens inside a trained net, drawn: the images and the page of ``verydeep explain``."""
