"""Accuracy and time of the sparse decompositions and filters, against scipy in float64."""
