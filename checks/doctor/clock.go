package doctor

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/beamctl/beamctl/checks"
)

// earliest is before this check was written: a clock that says less was never set.
var earliest = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	// maxSkew is by how much the clocks of this machine and of its file systems may differ; some keep full seconds only.
	maxSkew = 2 * time.Second
	// maxBeams bounds how many files are looked at.
	maxBeams = 20_000
)

func checkClock(_ context.Context, x *exam) {
	now := time.Now()
	x.see("%s", now.UTC().Format(time.DateTime+" UTC"))
	written := now
	dir := cmp.Or(x.stateDir(), x.tempDir())
	if t, err := touch(dir); err == nil {
		written = t
	}
	x.clock(now, written, time.Now(), dir)
	if x.Project == nil {
		return
	}
	if file, newest := newestBeam(x.Project.Build.Code); newest.After(now.Add(maxSkew)) {
		x.warn(checks.Finding{
			What: "there is compiled code from the clock's future", Saw: fmt.Sprintf("%s is of %s", file, newest.UTC().Format(time.DateTime)),
			Cause: "the clock was set back, or the file comes from a machine whose clock is ahead: what is compiled now is not taken for newer",
			Fix:   "set the clock, or compile everything anew",
		})
	}
}

// clock judges what was read from the clock, then given by a file system to a file in dir, then read again.
func (x *exam) clock(now, written, later time.Time, dir string) {
	if now.Before(earliest) {
		x.warn(checks.Finding{
			What: "the clock was never set", Saw: now.UTC().Format(time.DateTime), Cause: "certificates are not valid yet, and what is compiled looks older than its sources",
			Fix: "set it: NTP, or date -s",
		})
	}
	d := min(written.Sub(now.Round(0)), 0) // it may have been written at any time between the two
	if written.After(later) {
		d = written.Sub(later.Round(0))
	}
	if d.Abs() > maxSkew {
		x.warn(checks.Finding{
			What: "the file system has another clock", Saw: fmt.Sprintf("a file written in %s is %s off", dir, d.Round(time.Millisecond)),
			Cause: "what is compiled looks older than its sources, or newer than it is", Fix: "have both machines keep time by NTP",
		})
	}
	if later.Round(0).Before(now.Round(0)) || later.Before(now) { // wall clock, monotonic clock
		x.warn(checks.Finding{
			What: "the clock runs backwards", Saw: fmt.Sprintf("%s after %s", later.UTC().Format(time.RFC3339Nano), now.UTC().Format(time.RFC3339Nano)),
			Cause: "it was set back meanwhile", Fix: "see what sets it",
		})
	}
}

// newestBeam returns the .beam file with the latest time.
func newestBeam(dirs []string) (file string, newest time.Time) {
	seen := 0
	for _, dir := range dirs {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".beam") {
				continue
			}
			if seen++; seen > maxBeams {
				return file, newest
			}
			if fi, err := e.Info(); err == nil && fi.ModTime().After(newest) {
				file, newest = filepath.Join(dir, e.Name()), fi.ModTime()
			}
		}
	}
	return file, newest
}
