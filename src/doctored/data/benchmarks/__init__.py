"""The published data sets, one file each: what they hold on disk, and what is known to be wrong with them."""
