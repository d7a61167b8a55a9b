package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd"
)

// foreign is a broker of another project that beamctl has not started and knows nothing of: a program in the foreground with
// an EPMD of its own, as an operator finds it. Each is started once for all tests, which leave it as it was.
type foreign struct {
	name       string // full node name
	epmdPort   int    // of the EPMD that knows it, on loopback
	cookieFile string
	pid        int // of its VM

	dir    string
	server *epmd.Server
	cmd    *exec.Cmd
	out    *os.File
	done   chan struct{}
}

// foreignBoot is how long a broker may take: RabbitMQ needs 6 s on a quiet machine.
const foreignBoot = 3 * time.Minute

// startRabbit returns a RabbitMQ node with a long name. Debian's package has it; its AMQP listener is off.
func startRabbit(t testing.TB) *foreign {
	t.Helper()
	f, err := rabbit()
	require.NoError(t, err)
	return f
}

// startEjabberd returns an ejabberd node with the name that it has by default, a short one: ejabberd@localhost.
func startEjabberd(t testing.TB) *foreign {
	t.Helper()
	f, err := ejabberd()
	require.NoError(t, err)
	return f
}

var rabbit = sync.OnceValues(func() (*foreign, error) {
	const script = "/usr/lib/rabbitmq/bin/rabbitmq-server" // the one in /usr/sbin insists on being root, to become the user rabbitmq
	return startForeign("rabbit@127.0.0.1", "Server startup complete", func(f *foreign) (*exec.Cmd, error) {
		port, err := unusedPort()
		if err != nil {
			return nil, err
		}
		for name, content := range map[string]string{
			"rabbitmq.conf": "listeners.tcp = none\n", "advanced.config": "[].\n", "enabled_plugins": "[].\n", "rabbitmq-env.conf": "",
		} {
			if err := os.WriteFile(filepath.Join(f.dir, name), []byte(content), 0o600); err != nil {
				return nil, err
			}
		}
		cmd := exec.Command(script, "-noinput")
		cmd.Env = append(f.env(),
			"RABBITMQ_NODENAME="+f.name, "RABBITMQ_USE_LONGNAME=true", "RABBITMQ_DIST_PORT="+port,
			"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
			"RABBITMQ_ALLOW_INPUT=1", // the script becomes the VM
			"RABBITMQ_CONFIG_FILE="+f.dir+"/rabbitmq.conf", "RABBITMQ_ADVANCED_CONFIG_FILE="+f.dir+"/advanced.config",
			"RABBITMQ_GENERATED_CONFIG_DIR="+f.dir+"/generated", "RABBITMQ_CONF_ENV_FILE="+f.dir+"/rabbitmq-env.conf",
			"RABBITMQ_ENABLED_PLUGINS_FILE="+f.dir+"/enabled_plugins", "RABBITMQ_MNESIA_BASE="+f.dir+"/mnesia",
			"RABBITMQ_LOG_BASE="+f.dir+"/log", "RABBITMQ_LOGS=-", "RABBITMQ_PID_FILE="+f.dir+"/pid")
		return cmd, nil
	})
})

var ejabberd = sync.OnceValues(func() (*foreign, error) {
	return startForeign("ejabberd@localhost", "is started in the node", func(f *foreign) (*exec.Cmd, error) {
		config := filepath.Join(f.dir, "ejabberd.yml")
		text := "hosts: [localhost]\nloglevel: info\nacme: {auto: false}\nlisten: []\nmodules: {mod_ping: {}}\n"
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return nil, err
		}
		// ejabberdctl would become the user ejabberd, and ends an EPMD that knows no node; this is what it runs.
		cmd := exec.Command("erl", "-sname", f.name, "-noinput", "-kernel", "inet_dist_use_interface", "{127,0,0,1}",
			"-mnesia", "dir", strconv.Quote(filepath.Join(f.dir, "mnesia")), "-s", "ejabberd")
		libs, err := filepath.Glob("/usr/lib/*/ejabberd-*/ebin/ejabberd.app")
		if err != nil || len(libs) == 0 {
			return nil, errors.New("the package ejabberd is needed (scripts/install-deps.sh test)")
		}
		cmd.Env = append(f.env(), "ERL_LIBS="+filepath.Join(libs[0], "..", "..", ".."), "EJABBERD_CONFIG_PATH="+config, "EJABBERD_LOG_PATH="+f.dir+"/ejabberd.log",
			"ERL_INETRC=/etc/ejabberd/inetrc")
		return cmd, nil
	})
})

// foreigners are the brokers that run.
var foreigners struct {
	sync.Mutex
	all []*foreign
}

// startForeign starts a broker, and returns when it has printed ready.
func startForeign(name, ready string, command func(*foreign) (*exec.Cmd, error)) (*foreign, error) {
	f := &foreign{name: name, done: make(chan struct{}), server: epmd.NewServer(epmd.Config{})}
	var err error
	if f.dir, err = os.MkdirTemp("", "foreign"); err != nil {
		return nil, err
	}
	foreigners.Lock()
	foreigners.all = append(foreigners.all, f)
	foreigners.Unlock()
	bound, err := f.server.Listen("127.0.0.1:0", "")
	if err != nil {
		return nil, err
	}
	f.epmdPort = bound.(*net.TCPAddr).Port
	f.cookieFile = filepath.Join(f.dir, ".erlang.cookie")
	if err := os.WriteFile(f.cookieFile, fmt.Appendf(nil, "foreign%x", time.Now().UnixNano()), 0o400); err != nil {
		return nil, err
	}
	if f.out, err = os.OpenFile(f.log(), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		return nil, err
	}
	if f.cmd, err = command(f); err != nil {
		return nil, err
	}
	f.cmd.Dir, f.cmd.Stdout, f.cmd.Stderr = f.dir, f.out, f.out
	f.cmd.SysProcAttr = mortal()
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := f.cmd.Start()
		if started <- err; err == nil {
			_ = f.cmd.Wait()
			close(f.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("a real %s is needed (scripts/install-deps.sh test): %w", name, err)
	}
	f.pid = f.cmd.Process.Pid
	end := time.After(foreignBoot)
	for {
		out, err := os.ReadFile(f.log())
		if err != nil {
			return nil, err
		}
		if bytes.Contains(out, []byte(ready)) {
			return f, nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-f.done:
			return nil, fmt.Errorf("%s ended: %v\n%s", name, f.cmd.ProcessState, out)
		case <-end:
			return nil, fmt.Errorf("%s is not ready after %v:\n%s", name, foreignBoot, out)
		}
	}
}

// log is the file that has what the broker prints.
func (f *foreign) log() string { return filepath.Join(f.dir, "console.log") }

// epmdEnv makes a program, beamctl too, look for nodes where this one is registered.
func (f *foreign) epmdEnv() string { return "ERL_EPMD_PORT=" + strconv.Itoa(f.epmdPort) }

// env is for the broker and its own tools, none of which may start an epmd daemon.
func (f *foreign) env() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "ERL_") && !strings.HasPrefix(kv, "RABBITMQ_") && !strings.HasPrefix(kv, "HOME=") {
			env = append(env, kv)
		}
	}
	return append(env, f.epmdEnv(), "HOME="+f.dir, "ERL_ZFLAGS=-start_epmd false", "LC_ALL=C.UTF-8")
}

// distPort returns the port of its distribution listener.
func (f *foreign) distPort(t testing.TB) int {
	t.Helper()
	alive, _, _ := strings.Cut(f.name, "@")
	n, err := (&epmd.Client{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(f.epmdPort))}).Lookup(t.Context(), alive)
	require.NoError(t, err)
	return int(n.Port)
}

// diagnostics runs rabbitmq-diagnostics against the node with more environment, and returns what it says and its exit code.
func (f *foreign) diagnostics(t testing.TB, env []string, args ...string) (string, int) {
	t.Helper()
	return f.tool(t, "rabbitmq-diagnostics", env, args...)
}

// tool runs one of RabbitMQ's tools against the node.
func (f *foreign) tool(t testing.TB, name string, env []string, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), foreignBoot)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join("/usr/lib/rabbitmq/bin", name), append([]string{"-n", f.name, "--longnames"}, args...)...)
	cmd.Dir = f.dir
	cmd.Env = append(append(f.env(), "RABBITMQ_CONF_ENV_FILE="+f.dir+"/rabbitmq-env.conf", "RABBITMQ_LOG_BASE="+f.dir+"/log"), env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// stop ends the broker and all that it has started.
func (f *foreign) stop() error {
	var err error
	if f.pid != 0 {
		_ = syscall.Kill(-f.pid, syscall.SIGKILL)
		<-f.done
		end := time.Now().Add(time.Minute)
		for len(f.processes()) > 0 && err == nil {
			if time.Sleep(10 * time.Millisecond); time.Now().After(end) {
				err = fmt.Errorf("%s has left processes %v", f.name, f.processes())
			}
		}
	}
	if f.out != nil {
		_ = f.out.Close()
	}
	return errors.Join(err, f.server.Close(), os.RemoveAll(f.dir))
}

// processes returns what runs with the broker's environment.
func (f *foreign) processes() []int {
	return processes(func(pid string) bool {
		env, err := os.ReadFile(filepath.Join("/proc", pid, "environ"))
		return err == nil && bytes.Contains(append([]byte{0}, env...), []byte("\x00HOME="+f.dir+"\x00"))
	})
}

// stopForeigners ends all brokers, after all tests.
func stopForeigners() error {
	foreigners.Lock()
	defer foreigners.Unlock()
	var errs []error
	for _, f := range foreigners.all {
		if err := f.stop(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// TestForeignBrokers: they are what the tests take them for.
func TestForeignBrokers(t *testing.T) {
	for _, f := range []*foreign{startRabbit(t), startEjabberd(t)} {
		w := newWorld(t, "")
		w.env = append(w.env, f.epmdEnv())
		m, rep, code := w.health("--attach", f.name, "--cookie-file", f.cookieFile)
		require.Equal(t, exitOK, code, "%+v", rep)
		require.Contains(t, m, f.name)
		require.NotZero(t, f.distPort(t))
	}
	out, code := startRabbit(t).diagnostics(t, nil, "check_running")
	require.Zero(t, code, out)
}
