"""Features of images for other classifiers, and the linear SVM that tests them (appendix B)."""
