// Package proc answers one question about operating system processes: is this one ours? A process is
// ours if its pid, start time and boot id match what was recorded, or if it carries a cluster's marker in
// its environment; never because of its name.
package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// ErrUnsupported says that this operating system doesn't tell what was asked.
var ErrUnsupported = errors.New("not available on this operating system")

// An ID names one process for good: a pid alone is reused, a pid with its start time is not, within one boot.
type ID struct {
	Pid int `json:"pid"`
	// Start is the start time as the kernel counts it (Linux: clock ticks since boot); 0 where unknown.
	Start uint64 `json:"start"`
	// Boot is the kernel's boot id; "" where unknown.
	Boot string `json:"boot,omitempty"`
}

// Self returns the ID of this process.
func Self() ID { return Identify(os.Getpid()) }

// Identify returns the ID of the process that now has pid.
func Identify(pid int) ID {
	id := ID{Pid: pid, Boot: BootID()}
	if s, err := stat(pid); err == nil {
		id.Start = s.start
	}
	return id
}

// Alive tells whether exactly this process still runs. A zombie doesn't.
func (id ID) Alive() bool {
	if id.Pid <= 0 || id.Boot != BootID() {
		return false
	}
	s, err := stat(id.Pid)
	return err == nil && !s.zombie && s.start == id.Start
}

// Stopped tells whether the process with that pid is stopped by a signal (SIGSTOP).
func Stopped(pid int) bool {
	s, err := stat(pid)
	return err == nil && s.halted
}

// Signal sends sig to exactly this process. A process that is gone is no error.
func (id ID) Signal(sig syscall.Signal) error {
	if !id.Alive() {
		return nil
	}
	err := signalExactly(id, sig)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// status is what the kernel says about a process.
type status struct {
	ppid   int
	start  uint64
	zombie bool
	halted bool // by a signal
	comm   string
}

// killPause is the time between two rounds of KillAll: long enough for a SIGKILL to take effect,
// short enough not to be felt.
const killPause = 2 * time.Millisecond

// KillAll sends SIGKILL to everything that find returns, again and again, until find returns nothing: a
// process may fork between being seen and being hit. When ctx ends first, the error names the survivors.
func KillAll(ctx context.Context, find func() ([]ID, error)) error {
	for {
		ids, err := find()
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if kerr := id.Signal(syscall.SIGKILL); kerr != nil {
				err = kerr
			}
		}
		select {
		case <-time.After(killPause):
		case <-ctx.Done():
			return fmt.Errorf("still running: %s: %w", describe(ids), errors.Join(ctx.Err(), err))
		}
	}
}

func describe(ids []ID) string {
	var parts []string
	for _, id := range ids {
		parts = append(parts, fmt.Sprintf("%d (%s)", id.Pid, Command(id.Pid)))
	}
	return strings.Join(parts, ", ")
}

// Command returns the short name of the program that pid runs, or "?".
func Command(pid int) string {
	s, err := stat(pid)
	if err != nil || s.comm == "" {
		return "?"
	}
	return s.comm
}
