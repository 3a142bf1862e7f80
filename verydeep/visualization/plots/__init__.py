"""Drawings that several pages share: curves, boxes, views, confusion, reliability."""
