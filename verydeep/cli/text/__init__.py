"""Results as text, and as plain values for JSON."""
