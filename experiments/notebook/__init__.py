"""The notebook that jaxrec began from: every matrix, figure and loss curve, side by side with what it printed."""
