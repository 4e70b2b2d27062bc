"""Evaluation: the same meta-episode, sampled from a finished model, scored and summarised."""
