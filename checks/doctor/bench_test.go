package doctor_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/beamctl/beamctl/checks/doctor"
)

// BenchmarkPreflight is what a start pays.
func BenchmarkPreflight(b *testing.B) {
	dir := b.TempDir()
	s := &doctor.Subject{
		Env: map[string]string{"HOME": dir, "PATH": os.Getenv("PATH")},
		Project: &doctor.Plan{
			Cluster: "demo", Runtime: "mix", Dir: dir, State: filepath.Join(dir, ".beamctl", "demo"), Nodes: []string{"node1@127.0.0.1"},
			Programs: []doctor.Program{{Name: "mix", Path: os.Getenv("PATH")}}, Ports: []doctor.Ports{{Name: "ports.dist", Lo: 9100, Hi: 9199, Need: 1, Spare: true}},
		},
	}
	for b.Loop() {
		if err := doctor.Preflight(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
}
