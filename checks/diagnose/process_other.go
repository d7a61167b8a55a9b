//go:build !linux

package diagnose

func processState(int) byte { return 0 }
