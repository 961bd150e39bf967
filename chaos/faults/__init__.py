"""What can be done to a cluster, one file per kind. `base` has the words, `catalog` the list."""
