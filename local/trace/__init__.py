"""One mail's way as a waterfall."""
