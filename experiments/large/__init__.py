"""Data of 10^7 to 10^8 interactions: made, read, laid out and trained on, with memory and CPU seconds a part."""
