"""Image features for other classifiers, and linear probes with an SVM (appendix B)."""
