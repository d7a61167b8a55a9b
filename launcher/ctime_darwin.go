package launcher

import (
	"io/fs"
	"syscall"
	"time"
)

// statusChanged is when a file was last written to, or its time set: who sets a file's time cannot set that.
func statusChanged(st fs.FileInfo) time.Time {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return st.ModTime()
	}
	return time.Unix(sys.Ctimespec.Unix())
}
