package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/beamctl/beamctl/launcher/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, h control.Handler) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	s := control.NewServer(h)
	require.NoError(t, s.Listen(path))
	t.Cleanup(s.Close)
	fi, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), fi.Mode().Perm(), "nobody else may steer the cluster")
	return path
}

func TestEventsThenResult(t *testing.T) {
	path := serve(t, func(_ context.Context, req control.Request, emit func(any) error) (any, error) {
		assert.Equal(t, "count", req.Op)
		var n int
		if err := json.Unmarshal(req.Args, &n); err != nil {
			return nil, err
		}
		for i := range n {
			if err := emit(i); err != nil {
				return nil, err
			}
		}
		return strings.Repeat("x", 100_000), nil // longer than any buffer
	})
	var events []string
	res, err := control.Call(t.Context(), path, "count", 3, func(e json.RawMessage) { events = append(events, string(e)) })
	require.NoError(t, err)
	assert.Equal(t, []string{"0", "1", "2"}, events)
	assert.Len(t, res, 100_002)
}

func TestErrorsCrossTheSocket(t *testing.T) {
	path := serve(t, func(_ context.Context, req control.Request, _ func(any) error) (any, error) {
		if req.Op == "typed" {
			return nil, &control.Error{Code: "why", Message: "because", Detail: json.RawMessage(`{"a":1}`)}
		}
		return nil, errors.New("plain")
	})
	var e *control.Error
	_, err := control.Call(t.Context(), path, "typed", nil, nil)
	require.ErrorAs(t, err, &e)
	assert.Equal(t, control.Error{Code: "why", Message: "because", Detail: json.RawMessage(`{"a":1}`)}, *e)
	_, err = control.Call(t.Context(), path, "other", nil, nil)
	require.ErrorAs(t, err, &e)
	assert.Equal(t, control.Error{Code: control.CodeFailed, Message: "plain"}, *e)
}

func TestHangingUpWithdraws(t *testing.T) {
	withdrawn := make(chan struct{})
	path := serve(t, func(ctx context.Context, _ control.Request, emit func(any) error) (any, error) {
		if err := emit("begun"); err != nil {
			return nil, err
		}
		<-ctx.Done()
		close(withdrawn)
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := control.Call(ctx, path, "wait", nil, func(json.RawMessage) { cancel() })
	require.ErrorIs(t, err, context.Canceled)
	select {
	case <-withdrawn:
	case <-time.After(time.Minute):
		t.Fatal("the handler was not told")
	}
}

func TestAnotherVersionIsTold(t *testing.T) {
	path := serve(t, func(context.Context, control.Request, func(any) error) (any, error) {
		t.Error("a request of an unknown version may not be performed")
		return nil, errors.New("unreachable")
	})
	conn, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte(`{"v":99,"op":"stop","novelty":true}` + "\n"))
	require.NoError(t, err)
	var a struct{ Error *control.Error }
	require.NoError(t, json.NewDecoder(conn).Decode(&a))
	require.NotNil(t, a.Error)
	assert.Equal(t, control.CodeVersion, a.Error.Code)
	assert.Contains(t, a.Error.Message, "version 1")
}

func TestSupervisorGone(t *testing.T) {
	_, err := control.Call(t.Context(), filepath.Join(t.TempDir(), "none"), "x", nil, nil)
	require.ErrorIs(t, err, control.ErrNoServer)

	client, server := net.Pipe()
	go func() {
		buf := make([]byte, 100)
		_, _ = server.Read(buf)
		_ = server.Close()
	}()
	_, err = control.Do(t.Context(), client, "x", nil, nil)
	require.ErrorIs(t, err, control.ErrHungUp)
}
