"""Own losses, models, metrics and the like, outside the package: one file each."""
