"""Every model and every loss of the library on movielens-small, with seconds."""
