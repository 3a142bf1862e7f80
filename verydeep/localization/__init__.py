"""Object localization: boxes, box regressors, merging and tests (appendix A)."""
