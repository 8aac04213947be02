"""Training time of LightGCN, with evaluation, until it reaches a recall on the test part of Gowalla."""
