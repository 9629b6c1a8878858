"""The orrery command: runs scenarios on the process, QEMU and Bochs; records and replays their VM exits."""
