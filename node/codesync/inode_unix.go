//go:build unix

package codesync

import (
	"io/fs"
	"syscall"
)

// inode is what tells a file apart from all others of the machine.
func inode(st fs.FileInfo) (device, number int64) {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return int64(sys.Dev), int64(sys.Ino) //nolint:unconvert // of other types elsewhere
	}
	return 0, 0
}
