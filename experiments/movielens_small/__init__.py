"""The main job: six models on movielens-small, evaluated over the whole catalog."""
