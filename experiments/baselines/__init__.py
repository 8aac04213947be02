"""Popularity, neighbors, walks and linear autoencoders on the official splits."""
