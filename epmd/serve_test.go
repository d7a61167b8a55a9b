package epmd_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/beamctl/beamctl/epmd"
)

// serveEnv makes the test binary an EPMD: it prints its address and serves until its standard input ends.
const serveEnv = "EPMD_TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveEnv) != "" {
		serve()
		return
	}
	goleak.VerifyTestMain(m)
}

func serve() {
	s := epmd.NewServer(epmd.Config{})
	addr, err := s.Listen("127.0.0.1:0", "")
	if err != nil {
		panic(err)
	}
	fmt.Println(addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = s.Close()
}

// startOurs runs our server in a process of its own until the test ends, and returns its address.
func startOurs(t testing.TB) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveEnv+"=1")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(addr)
}
