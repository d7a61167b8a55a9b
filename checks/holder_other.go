//go:build !linux

package checks

// PortHolder is known on Linux only.
func PortHolder(int) (pid int, cmd string, ok bool) { return 0, "", false }
