package doctor

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// lookPath finds a program on a PATH that need not be ours. What is relative there is not looked at.
func lookPath(name, path string) (string, bool) {
	for _, dir := range filepath.SplitList(path) {
		if file := filepath.Join(dir, name); filepath.IsAbs(dir) {
			//nolint:gosec // the user's own PATH
			if fi, err := os.Stat(file); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
				return file, true
			}
		}
	}
	return "", false
}

// tools remembers what was found on which PATH: several checks want it.
type tools struct {
	mu    sync.Mutex
	found map[string]func() (*install, error)
}

func (t *tools) once(key string, find func() (*install, error)) (*install, error) {
	t.mu.Lock()
	f := t.found[key]
	if f == nil {
		f = sync.OnceValues(find)
		if t.found == nil {
			t.found = make(map[string]func() (*install, error))
		}
		t.found[key] = f
	}
	t.mu.Unlock()
	return f()
}

// otp, elixir, mix and rebar return what a PATH leads to. nil: there is none. An error: it tells nothing.
func (x *exam) otp(ctx context.Context, path string) (*install, error) {
	return x.tools.once("otp "+path, func() (*install, error) { return x.findOTP(ctx, path) })
}

func (x *exam) elixir(ctx context.Context, path string) (*install, error) {
	return x.tools.once("elixir "+path, func() (*install, error) { return x.findElixir(ctx, path, "elixir") })
}

func (x *exam) mix(ctx context.Context, path string) (*install, error) {
	return x.tools.once("mix "+path, func() (*install, error) { return x.findElixir(ctx, path, "mix") })
}

func (x *exam) rebar(path string) (*install, error) {
	return x.tools.once("rebar "+path, func() (*install, error) { return findRebar(path) })
}

// install is an installation of OTP or Elixir, or rebar3.
type install struct {
	program string // as it was found on PATH
	root    string // of OTP: what code:root_dir() returns; of Elixir: the directory that has lib/elixir; of rebar3: the escript itself
	version string // "": not known
	built   string // version of the application compiler that has compiled it; "": not known
	asked   bool   // nothing but running it told
}

// otp returns the major release.
func (i *install) otp() int { return int(parseVersion(i.version)[0]) }

// maxScript bounds a start script that is read.
const maxScript = 1 << 16

// maxHops bounds how many scripts are followed that only run another one.
const maxHops = 4

// findRoot follows links, and scripts that run a program of the same name elsewhere, to the installation that a program
// belongs to: the first directory for which is holds.
func findRoot(program string, is func(dir string) bool) (root string, ok bool) {
	name := filepath.Base(program)
	elsewhere := regexp.MustCompile(`(?:^|["'\s=])(/[^"'\s:;$]+)/` + regexp.QuoteMeta(name) + `\b`)
	rootdir := regexp.MustCompile(`(?m)^\s*ROOTDIR=["']?(/[^"'\s$]+)`)
	for range maxHops {
		real, err := filepath.EvalSymlinks(program)
		if err != nil {
			return "", false
		}
		// ROOT/bin/erl and ROOT/erts-1.2/bin/erl
		up := filepath.Dir(filepath.Dir(real))
		for _, dir := range []string{up, filepath.Dir(up), filepath.Join(up, "lib", "erlang"), filepath.Join(up, "lib", "elixir")} {
			if is(dir) {
				return dir, true
			}
		}
		text := head(real, maxScript)
		if !strings.HasPrefix(text, "#!") {
			return "", false
		}
		for _, m := range rootdir.FindAllStringSubmatch(text, -1) {
			if is(m[1]) {
				return m[1], true
			}
		}
		m := elsewhere.FindStringSubmatch(text)
		if m == nil || filepath.Join(m[1], name) == program {
			return "", false
		}
		program = filepath.Join(m[1], name)
	}
	return "", false
}

// head returns what a file begins with, or "".
func head(path string, most int64) string {
	f, err := os.Open(path) //nolint:gosec // a program that the user runs
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // read only
	b, _ := io.ReadAll(io.LimitReader(f, most))
	return string(b)
}

func exists(elem ...string) bool {
	_, err := os.Stat(filepath.Join(elem...))
	return err == nil
}

var errShim = errors.New("is a script that does not say what it runs")

// ask runs a program that tells nothing otherwise (a shim of a version manager), and returns the line that it prints.
func (x *exam) ask(ctx context.Context, env map[string]string, program string, args ...string) (string, error) {
	if x.quick {
		return "", fmt.Errorf("%s %w", program, errShim)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", program, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// findOTP finds the OTP that `erl` of a PATH belongs to.
func (x *exam) findOTP(ctx context.Context, path string) (*install, error) {
	program, ok := lookPath("erl", path)
	if !ok {
		return nil, nil //nolint:nilnil // as said
	}
	i := &install{program: program}
	isOTP := func(dir string) bool { return exists(dir, "releases", "RELEASES") || otpVersion(dir) != "" }
	if i.root, ok = findRoot(program, isOTP); !ok {
		var err error
		i.asked = true
		i.root, err = x.ask(ctx, with(x.Env, "PATH", path), program, "-noinput", "-boot", "start_clean", "-eval", "io:put_chars(code:root_dir()),halt().")
		if err != nil {
			return i, err
		}
	}
	if i.version = otpVersion(i.root); i.version == "" {
		return i, fmt.Errorf("%s has no releases/*/OTP_VERSION", i.root)
	}
	return i, nil
}

// otpVersion reads the version of the newest release that an OTP installation has.
func otpVersion(root string) string {
	files, _ := filepath.Glob(filepath.Join(strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(root), "releases", "*", "OTP_VERSION"))
	best := ""
	for _, f := range files {
		// Patched installations have **, see "Upgrading and patching".
		if v := strings.Trim(head(f, 64), "* \n"); best == "" || parseVersion(v).compare(parseVersion(best)) > 0 {
			best = v
		}
	}
	return best
}

// appVersion finds {vsn, "1.14.0"} in a .app file.
var appVersion = regexp.MustCompile(`\{\s*vsn\s*,\s*"([^"]+)"\s*\}`)

// maxApp bounds an .app file; Elixir's has 10 KB.
const maxApp = 1 << 20

// findElixir finds the Elixir that a program of a PATH (elixir, mix) belongs to.
func (x *exam) findElixir(ctx context.Context, path, name string) (*install, error) {
	program, ok := lookPath(name, path)
	if !ok {
		return nil, nil //nolint:nilnil // as said
	}
	i := &install{program: program}
	isElixir := func(dir string) bool { return exists(dir, "lib", "elixir", "ebin", "elixir.app") }
	if i.root, ok = findRoot(program, isElixir); !ok {
		args := []string{"-e", "IO.write(Path.expand(\"../..\", :code.lib_dir(:elixir)))"}
		if name == "mix" {
			args = append([]string{"run", "--no-mix-exs"}, args...)
		}
		var err error
		i.asked = true
		if i.root, err = x.ask(ctx, with(x.Env, "PATH", path), program, args...); err != nil {
			return i, err
		}
	}
	ebin := filepath.Join(i.root, "lib", "elixir", "ebin")
	if m := appVersion.FindStringSubmatch(head(filepath.Join(ebin, "elixir.app"), maxApp)); m != nil {
		i.version = m[1]
	}
	if f, err := os.Open(filepath.Join(ebin, "Elixir.System.beam")); err == nil { //nolint:gosec // of the installation
		i.built, _ = compilerOf(f)
		_ = f.Close()
	}
	if i.version == "" {
		return i, fmt.Errorf("%s has no version", filepath.Join(ebin, "elixir.app"))
	}
	return i, nil
}

// findRebar finds rebar3 on a PATH: an escript, which is a zip file behind a line or three.
func findRebar(path string) (*install, error) {
	program, ok := lookPath("rebar3", path)
	if !ok {
		return nil, nil //nolint:nilnil // as findOTP
	}
	i := &install{program: program, root: program}
	z, err := zip.OpenReader(program)
	if err != nil {
		return i, fmt.Errorf("%s: %w", program, err)
	}
	defer z.Close() //nolint:errcheck // read only
	read := func(name string, use func(io.Reader)) {
		at := slices.IndexFunc(z.File, func(f *zip.File) bool { return f.Name == name })
		if at < 0 {
			return
		}
		if f, err := z.File[at].Open(); err == nil {
			use(f)
			_ = f.Close()
		}
	}
	read("rebar/ebin/rebar.app", func(r io.Reader) {
		b, _ := io.ReadAll(io.LimitReader(r, maxApp))
		if m := appVersion.FindSubmatch(b); m != nil {
			i.version = string(m[1])
		}
	})
	read("rebar/ebin/rebar3.beam", func(r io.Reader) { i.built, _ = compilerOf(r) })
	if i.version == "" {
		return i, errors.New(program + " has no rebar/ebin/rebar.app that says its version")
	}
	return i, nil
}

// with returns an environment with one variable set.
func with(env map[string]string, key, value string) map[string]string {
	out := map[string]string{key: value}
	for k, v := range env {
		if k != key {
			out[k] = v
		}
	}
	return out
}
