"""Plots shared by several pages: curves, boxes, views, confusion matrix, reliability diagram."""
