"""Host side: device drivers, data sets, trainer, reports, command line."""
