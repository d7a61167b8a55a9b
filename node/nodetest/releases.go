package nodetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// Release is one OTP under test.
type Release struct {
	Suite string // Debian's, "PATH" for the one that is installed
	Major int
	Bin   string // folder of its programs, "" for PATH
}

func (r Release) String() string { return "OTP " + strconv.Itoa(r.Major) }

// Program is the path of one of the release's programs.
func (r Release) Program(name string) string {
	if r.Bin == "" {
		return name
	}
	return r.Bin + "/" + name
}

// matrix are the majors that scripts/otp-releases.sh has; the last may be newer.
var matrix = [...]int{23, 25, 27, 29}

// Releases reads a file with the output of scripts/otp-releases.sh, which has to be all of the matrix. Without one it
// is the erl on PATH.
func Releases(t testing.TB, file string) []Release {
	t.Helper()
	if file == "" {
		ctx, cancel := context.WithTimeout(context.Background(), bootTime)
		defer cancel()
		out, err := exec.CommandContext(ctx, "erl", "-noinput", "-eval", "io:put_chars(erlang:system_info(otp_release)), halt().").Output()
		if err != nil {
			t.Fatalf("nodetest: an erl on PATH is needed: %v", err)
		}
		major, err := strconv.Atoi(string(out))
		if err != nil {
			t.Fatalf("nodetest: %v", err)
		}
		return []Release{{"PATH", major, ""}}
	}
	text, err := os.ReadFile(file) //nolint:gosec // a test's own flag
	if err != nil {
		t.Fatalf("nodetest: %v", err)
	}
	var rs []Release
	for line := range strings.Lines(string(text)) {
		var r Release
		if _, err := fmt.Sscanf(line, "%s %d %s", &r.Suite, &r.Major, &r.Bin); err != nil {
			t.Fatalf("nodetest: %s: %q: %v", file, line, err)
		}
		rs = append(rs, r)
	}
	complete := len(rs) == len(matrix)
	for i, major := range matrix {
		last := i == len(matrix)-1
		complete = complete && (rs[i].Major == major || last && rs[i].Major > major)
	}
	if !complete {
		t.Fatalf("nodetest: %s: the matrix is OTP %v or newer, and not %v", file, matrix, rs)
	}
	return rs
}
