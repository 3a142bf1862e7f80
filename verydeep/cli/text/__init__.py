"""Results as text for people and as plain values for programs."""
