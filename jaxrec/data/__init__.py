"""Interactions and id maps, readers, filters, splits and named data sets."""
