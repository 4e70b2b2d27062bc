"""The service: one application behind two fronts, a plain process and Ray Serve."""
