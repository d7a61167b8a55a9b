package diagnose

import (
	"bytes"
	"fmt"
	"os"
)

// processState returns the state of a process: the letter behind its name in /proc/PID/stat (proc(5)), 0 if it cannot
// be read.
func processState(pid int) byte {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	if _, after, ok := bytes.Cut(b[max(0, bytes.LastIndexByte(b, ')')):], []byte(") ")); ok && len(after) > 0 {
		return after[0]
	}
	return 0
}
