"""What happens inside a trained net, drawn: the pictures and the page of ``verydeep explain``."""
