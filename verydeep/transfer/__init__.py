"""Features of pictures for other classifiers, and the linear SVM that tests them (appendix B)."""
