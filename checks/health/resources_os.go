package health

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
)

// knows says whether a node has all these atoms. What it would make atoms for is not asked for: they stay.
func (x *exam) knows(ctx context.Context, atoms ...string) bool {
	names := make(etf.List, len(atoms))
	for i, a := range atoms {
		names[i] = []byte(a)
	}
	var got []etf.Atom
	return x.call(ctx, &got, "lists", "map", etf.Export{Module: "erlang", Function: "binary_to_existing_atom", Arity: 1}, names) == nil
}

// osProcess is the folder in /proc of the node's emulator; "" where it does not run on this machine, or that has no /proc.
var osProcess = &fact[string]{func(ctx context.Context, x *exam) (string, error) {
	var pid string
	if err := x.call(ctx, &pid, "os", "getpid"); err != nil {
		return "", err
	}
	up, err := uptime.of(ctx, x)
	if err != nil {
		return "", err
	}
	number, err := strconv.Atoi(pid)
	dir := filepath.Join("/proc", strconv.Itoa(number))
	age, ok := processAge(dir)
	// Another machine, or a container, has other processes under the same number: they do not have the same age.
	if err != nil || !ok || math.Abs((age-up).Seconds()) > ageSlack.Seconds() {
		return "", nil
	}
	return dir, nil
}}

// ageSlack is by how much the emulator's clock, which starts when it has booted, may be behind its process.
const ageSlack = 5 * time.Second

// ticksPerSecond is USER_HZ, which /proc counts in on every Linux that Go runs on.
const ticksPerSecond = 100

// processAge reads how long a process has run.
func processAge(dir string) (time.Duration, bool) {
	stat, err := os.ReadFile(filepath.Join(dir, "stat")) //nolint:gosec // of /proc
	if err != nil {
		return 0, false
	}
	system, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, false
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name before it may hold anything
	const startTime = 22 - 3                      // proc(5): the fields after the name begin with the third
	fields := strings.Fields(rest)
	if len(fields) <= startTime || !strings.Contains(string(stat), "(beam") {
		return 0, false
	}
	started, err := strconv.ParseFloat(fields[startTime], 64)
	if err != nil {
		return 0, false
	}
	var up float64
	if _, err := fmt.Sscan(string(system), &up); err != nil {
		return 0, false
	}
	return time.Duration((up - started/ticksPerSecond) * float64(time.Second)), true
}

// resident is the bytes of RAM that a process has.
func resident(dir string) (int64, error) {
	var size, pages int64
	b, err := os.ReadFile(filepath.Join(dir, "statm")) //nolint:gosec // of /proc
	if err == nil {
		_, err = fmt.Sscan(string(b), &size, &pages)
	}
	return pages * int64(os.Getpagesize()), err
}

// descriptors is how many files a process has open, and how many it may.
func descriptors(dir string) (n, limit int64, err error) {
	open, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return 0, 0, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "limits")) //nolint:gosec // of /proc
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		if soft, ok := strings.CutPrefix(line, "Max open files"); ok {
			_, err = fmt.Sscan(soft, &limit)
		}
	}
	return int64(len(open)), limit, err
}
