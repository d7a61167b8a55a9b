package checks

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// PortHolder finds the process that listens on a TCP port, as far as this user may see it: through /proc/net/tcp and
// tcp6 to the socket's inode, and through /proc/*/fd to its owner. cmd is the command's name only: arguments may hold
// secrets.
func PortHolder(port int) (pid int, cmd string, ok bool) {
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listeners(table, port, sockets)
	}
	if len(sockets) == 0 {
		return 0, "", false
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !sockets[target] {
			continue
		}
		proc := filepath.Dir(filepath.Dir(fd))
		if pid, err = strconv.Atoi(filepath.Base(proc)); err != nil {
			continue
		}
		name, _ := os.ReadFile(filepath.Join(proc, "comm")) //nolint:gosec // under /proc
		return pid, string(bytes.TrimSpace(name)), true
	}
	return 0, "", false
}

// listeners adds the sockets in LISTEN state on port, as /proc/*/fd names them.
func listeners(table string, port int, sockets map[string]bool) {
	const listen, colLocal, colState, colInode = "0A", 1, 3, 9
	f, err := os.Open(table) //nolint:gosec // under /proc
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // read only
	want := fmt.Sprintf(":%04X", port)
	for sc := bufio.NewScanner(f); sc.Scan(); {
		col := strings.Fields(sc.Text())
		if len(col) > colInode && strings.HasSuffix(col[colLocal], want) && col[colState] == listen {
			sockets["socket:["+col[colInode]+"]"] = true
		}
	}
}
