//! Temperatures, clocks and power of the board, from sysfs.
