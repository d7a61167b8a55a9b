package main

import "golang.org/x/sys/unix"

// mountSmallDisk mounts a tmpfs of a megabyte, for which one has to be root.
func mountSmallDisk(at string) error { return unix.Mount("tmpfs", at, "tmpfs", 0, "size=1m") }
