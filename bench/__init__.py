"""`make bench`: what a call costs beside the reference plugins in the same run, and where the time goes."""
