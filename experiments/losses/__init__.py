"""One LightGCN trained with each loss, on the official splits."""
