"""Graph filters, given and learnt, and the network over graph features on the published splits."""
