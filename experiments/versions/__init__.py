"""Two versions of jaxrec beside each other: times in turns, the bits of trainings, and lines of code."""
