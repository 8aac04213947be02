"""Seconds of training, evaluation included, until LightGCN reaches a recall on the test part of Gowalla."""
