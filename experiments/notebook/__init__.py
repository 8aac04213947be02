"""The notebook that jaxrec began from: every matrix, figure and loss curve beside the printed value."""
