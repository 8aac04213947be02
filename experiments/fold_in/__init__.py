"""Lists of held-out users by fold-in, beside those of a model that is trained again with them."""
