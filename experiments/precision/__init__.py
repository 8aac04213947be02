"""LightGCN with products in bfloat16 beside float32: the loss of quality, as a paired interval."""
