"""Encoders of images, texts and locations in plain PyTorch, with the parameter names of published weights."""
