"""What the commands of bench/ share (laboratory, pairs), and the parts of sockserv-bench."""
