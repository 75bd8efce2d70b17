"""Datasets: pictures with what people say is on them, from imports and reviews, sealed for training."""
