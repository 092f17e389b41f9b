"""Controller of an SDR SDRAM chip."""
