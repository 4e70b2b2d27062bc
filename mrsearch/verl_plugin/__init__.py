"""The only room that imports verl (0.9.1): what verl calls to train on meta-episodes.

verl is extended from outside: a platform, an agent loop, an advantage estimator and a trainer are registered with
its registries; its configuration is extended by Hydra. Where it cannot be told something from outside, the way
round is in one named place, with the reason.
"""
