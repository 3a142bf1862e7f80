"""What happens inside a trained net, in numbers: activations, what they see and answer to."""
