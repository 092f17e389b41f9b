"""Storms: what the scripts of bench/storm.py do to links, processes, disks and long runs."""
