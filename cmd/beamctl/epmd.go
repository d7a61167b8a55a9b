package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/node"
)

// epmdTimeout is how long an EPMD may take to answer.
const epmdTimeout = 5 * time.Second

// epmdPort is the port that Erlang nodes of this environment use.
func epmdPort() int {
	if n, err := strconv.ParseUint(os.Getenv("ERL_EPMD_PORT"), 10, 16); err == nil && n != 0 {
		return int(n)
	}
	return epmd.DefaultPort
}

func (a *app) epmdCmd() *cobra.Command {
	var (
		port            int
		address         string
		daemon, relaxed bool
	)
	cmd := &cobra.Command{
		Use:   "epmd",
		Short: "Run the embedded EPMD alone, where Erlang's own is not installed",
		Long: `Epmd runs an Erlang Port Mapper Daemon that real nodes, "epmd -names" and everything else that speaks its protocol take for
Erlang's own. It runs until Ctrl-C, or with --daemon by itself, until it is killed (or, with --relaxed-command-check, until "epmd -kill").

It listens on loopback only, unless --address says otherwise. Even then only local nodes may register.`,
		Example: `  beamctl epmd --port 4370
  beamctl epmd --daemon
  beamctl epmd names`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if daemon {
				return a.epmdDaemon(cmd.Context(), port)
			}
			ctx, cancel := a.context(cmd.Context(), a.timeout)
			defer cancel()
			s := epmd.NewServer(epmd.Config{AllowRemote: address != "", AllowKill: relaxed})
			defer s.Close() //nolint:errcheck // it only says that it is closed
			hosts := []string{"127.0.0.1"}
			if address != "" {
				hosts = append(hosts, strings.Split(address, ",")...)
			}
			for _, host := range hosts {
				at, err := s.Listen(net.JoinHostPort(host, strconv.Itoa(port)), "")
				if err != nil {
					return epmdTaken(port, err)
				}
				a.say("EPMD listens on %s", at)
			}
			select {
			case <-s.Done():
			case <-ctx.Done():
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVar(&port, "port", epmdPort(), "port to listen on (default: $ERL_EPMD_PORT or 4369)")
	f.StringVar(&address, "address", "", "more addresses to listen on, comma-separated")
	f.BoolVar(&daemon, "daemon", false, "run in the background, and return when it answers")
	f.BoolVar(&relaxed, "relaxed-command-check", false, "let local clients kill it and unregister names")
	cmd.AddCommand(a.epmdNamesCmd())
	return cmd
}

// epmdTaken explains why the EPMD cannot listen.
func epmdTaken(port int, err error) error {
	f := &checks.Finding{What: "the EPMD cannot listen", Saw: err.Error(), Err: startError{err}, Fix: "choose another port with --port"}
	if pid, holder, ok := checks.PortHolder(port); ok {
		f.Saw = fmt.Sprintf("port %d is held by pid %d: %s", port, pid, holder)
		if holder == "epmd" {
			f.Cause = "an EPMD runs already: nodes can use that one"
		}
	}
	return f
}

// epmdDaemon starts this program again, detached, and waits until it answers. It does not start a second one.
func (a *app) epmdDaemon(ctx context.Context, port int) error {
	ctx, cancel := a.context(ctx, epmdTimeout)
	defer cancel()
	client := epmd.Client{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	if _, err := client.Names(ctx); err == nil {
		a.say("an EPMD answers already on %s", client.Addr)
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"epmd", "-q"}
	for _, arg := range os.Args[1:] {
		if arg != "epmd" && arg != "--daemon" && arg != "--daemon=true" {
			args = append(args, arg)
		}
	}
	//nolint:gosec,noctx // it is ourselves, and it outlives us
	daemon := exec.Command(self, args...)
	daemon.Dir = "/"
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := daemon.Start(); err != nil {
		return startError{err}
	}
	ended := make(chan struct{})
	go func() { _ = daemon.Wait(); close(ended) }()
	for {
		_, err := client.Names(ctx)
		if err == nil {
			a.say("EPMD listens on %s, pid %d", client.Addr, daemon.Process.Pid)
			return nil
		}
		select {
		case <-ended:
			return epmdTaken(port, err)
		case <-ctx.Done():
			return startError{fmt.Errorf("the EPMD does not answer: %w", err)}
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (a *app) epmdNamesCmd() *cobra.Command {
	var host string
	var port int
	cmd := &cobra.Command{
		Use:   "names",
		Short: "List the nodes that are registered with an EPMD",
		Long: `Names asks an EPMD, ours or Erlang's, on this or on another machine, which nodes are registered with it. In a directory with a
running cluster it is the cluster's, unless --port or ERL_EPMD_PORT says otherwise.`,
		Example: `  beamctl epmd names
  beamctl epmd names --host db1.example.org
  beamctl epmd names --port 4370 -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.context(cmd.Context(), epmdTimeout)
			defer cancel()
			addr := net.JoinHostPort(host, strconv.Itoa(port))
			if !cmd.Flags().Changed("port") && !cmd.Flags().Changed("host") && os.Getenv("ERL_EPMD_PORT") == "" {
				if c, err := a.open(); err == nil {
					addr = c.UserEPMD()
				}
			}
			names, err := (&epmd.Client{Addr: addr}).Names(ctx)
			if err != nil {
				return &checks.Finding{
					What: "no EPMD answers at " + addr, Saw: err.Error(), Err: fmt.Errorf("%w: %w", node.ErrNoEPMD, err),
					Fix: "check host and port (--host, --port, ERL_EPMD_PORT), and whether a distributed node runs there",
				}
			}
			if a.output == "json" {
				type name struct {
					Name string `json:"name"`
					Port uint16 `json:"port"`
				}
				out := make([]name, 0, len(names))
				for _, n := range names {
					out = append(out, name{n.Name, n.Port})
				}
				return a.json(out)
			}
			a.say("EPMD at %s", addr)
			var rows [][]string
			for _, n := range names {
				rows = append(rows, []string{n.Name, strconv.Itoa(int(n.Port))})
			}
			if len(rows) == 0 {
				a.say("no node is registered")
				return nil
			}
			return table(a.out, 0, []string{"NAME", "PORT"}, rows)
		},
	}
	cmd.Flags().StringVar(&host, "host", "127.0.0.1", "the EPMD's host")
	cmd.Flags().IntVar(&port, "port", epmdPort(), "the EPMD's port (default: $ERL_EPMD_PORT or 4369)")
	return cmd
}
