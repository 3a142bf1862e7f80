"""Object localization: boxes, box nets, merging and tests (appendix A)."""
