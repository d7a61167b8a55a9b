package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist"
)

var cookieChecks = []*Check{
	{
		Name: "cookie_file", Group: Cookie,
		What:  "the files from which your own nodes take their cookie are ones that Erlang accepts (clusters have a random cookie of their own)",
		Looks: "mode, owner and contents of ~/.erlang.cookie and $XDG_CONFIG_HOME/erlang/.erlang.cookie, by the rules of auth.erl; the cookie itself is shown nowhere",
		Fails: "fails when one is open to others, cannot be read, is no regular file, is empty or has characters that are not printable ASCII: no node that is given a name starts then",
		Fix:   "chmod 400 FILE; write one line into it",
		Mends: "takes from the mode what group and others may",
		run:   checkCookieFiles,
	},
	{
		Name: "cookie_length", Group: Cookie,
		What:  "cookies are long enough not to be guessed, and short enough to be atoms",
		Looks: "the length of the cookies in these files, RELEASE_COOKIE, -setcookie in ERL_FLAGS and its like, and releases/COOKIE of the project's releases",
		Fails: "warns below 20 characters, which is what Erlang makes; fails above 255",
		Fix:   "take a longer one: openssl rand -hex 20",
		run:   checkCookieLength,
	},
	{
		Name: "cookies", Group: Cookie,
		What:  "all places that have a cookie have the same, and none shows it to everybody",
		Looks: "the same places",
		Fails: "warns when two differ, as nodes started in different ways then refuse each other; and when the cookie is in ERL_FLAGS and its like, from where it gets into the command line of every node",
		Fix:   "have the same cookie everywhere, best in ~/.erlang.cookie alone",
		run:   checkCookies,
	},
}

// source is a place that has a cookie.
type source struct {
	name   string
	cookie dist.Cookie
}

const (
	// shortCookie is the length of what auth.erl makes.
	shortCookie = 20
	// maxCookie is what an atom can have.
	maxCookie = 255
	// maxCookieFile bounds what is read of a cookie file.
	maxCookieFile = 4096
)

// cookieFiles returns where auth.erl looks: the first that is there counts. "" among them: HOME is not set.
func (x *exam) cookieFiles() []string {
	home := x.env("HOME")
	config := x.env("XDG_CONFIG_HOME")
	if config == "" && home != "" {
		config = filepath.Join(home, ".config")
	}
	var files []string
	if home != "" {
		files = append(files, filepath.Join(home, ".erlang.cookie"))
	}
	if config != "" {
		files = append(files, filepath.Join(config, "erlang", ".erlang.cookie"))
	}
	return files
}

var errCookie = errors.New("is no cookie")

// readCookie reads a file as auth.erl does, which wants one line of printable ASCII.
func readCookie(path string) (dist.Cookie, error) {
	f, err := os.Open(path) //nolint:gosec // the user's own
	if err != nil {
		return dist.Cookie{}, err
	}
	defer f.Close() //nolint:errcheck // read only
	b, err := io.ReadAll(io.LimitReader(f, maxCookieFile))
	if err != nil {
		return dist.Cookie{}, err
	}
	text := strings.TrimRight(string(b), "\r\n ")
	switch {
	case text == "":
		return dist.Cookie{}, fmt.Errorf("what is in it %w: it is empty", errCookie)
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }):
		return dist.Cookie{}, fmt.Errorf("what is in it %w: it has characters that are not printable ASCII", errCookie)
	}
	return dist.NewCookie(text), nil
}

func checkCookieFiles(_ context.Context, x *exam) {
	for _, path := range x.cookieFiles() {
		fi, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		refused := "Erlang refuses it: a node that is given a name does not start"
		switch {
		case err != nil:
			x.fail(checks.Finding{What: "the cookie file " + path + " cannot be looked at", Saw: err.Error(), Cause: refused, Fix: "let this user read it", Err: err})
			continue
		case !fi.Mode().IsRegular():
			x.fail(checks.Finding{What: path + " is no regular file", Saw: fi.Mode().String(), Cause: refused, Fix: "remove it; Erlang makes a new one"})
			continue
		case fi.Mode().Perm()&0o077 != 0:
			x.problem(Fail, checks.Finding{
				What: "the cookie file " + path + " is open to others", Saw: fmt.Sprintf("mode %#o", fi.Mode().Perm()),
				Cause: refused + ", and whoever reads it can run anything on your nodes", Fix: "chmod 400 " + path,
			}, closeFile(path))
		}
		if _, err := readCookie(path); err != nil {
			x.fail(checks.Finding{
				What: "the cookie file " + path + " cannot be used", Saw: err.Error(), Cause: refused, Fix: "write one line into it, and let only this user read it", Err: err,
			})
			continue
		}
		x.see("%s, mode %#o", path, fi.Mode().Perm())
	}
	if len(x.saw) == 0 && len(x.problems) == 0 {
		x.none("none; Erlang makes one for the first node that is given a name")
	}
}

// closeFile takes from a file's mode what group and others may.
func closeFile(path string) mend {
	return func(context.Context) (string, error) {
		fi, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		mode := fi.Mode().Perm() &^ 0o077
		if err := os.Chmod(path, mode); err != nil {
			return "", err
		}
		return fmt.Sprintf("chmod %#o %s (was %#o)", mode, path, fi.Mode().Perm()), nil
	}
}

// flagVariables are taken as part of the command line by erl, and ELIXIR_ERL_OPTIONS by elixir.
var flagVariables = []string{"ERL_AFLAGS", "ERL_FLAGS", "ERL_ZFLAGS", "ELIXIR_ERL_OPTIONS"}

// sources returns the cookies there are, those first that count first.
func (x *exam) sources() []source {
	var all []source
	for _, name := range flagVariables {
		words := strings.Fields(x.env(name))
		if i := slices.Index(words, "-setcookie"); i >= 0 && i+1 < len(words) {
			all = append(all, source{name, dist.NewCookie(strings.Trim(words[i+1], `'"`))})
		}
	}
	for _, path := range x.cookieFiles() {
		if c, err := readCookie(path); err == nil {
			all = append(all, source{path, c})
		}
	}
	if c := x.env("RELEASE_COOKIE"); c != "" {
		all = append(all, source{"RELEASE_COOKIE", dist.NewCookie(c)})
	}
	if x.Project != nil {
		for _, dir := range x.Project.Releases {
			path := filepath.Join(dir, "releases", "COOKIE")
			if c, err := readCookie(path); err == nil {
				all = append(all, source{path, c})
			}
		}
	}
	return all
}

func checkCookieLength(_ context.Context, x *exam) {
	for _, s := range x.sources() {
		n := len(s.cookie.Secret())
		x.see("%s has %d characters", s.name, n)
		switch {
		case n > maxCookie:
			x.fail(checks.Finding{
				What: "the cookie in " + s.name + " is too long", Saw: fmt.Sprintf("%d characters", n), Cause: fmt.Sprintf("it is an atom: at most %d", maxCookie), Fix: "take a shorter one",
			})
		case n < shortCookie:
			x.warn(checks.Finding{
				What: "the cookie in " + s.name + " is short", Saw: fmt.Sprintf("%d characters", n),
				Cause: "it is all that keeps strangers from running anything on your nodes, and it can be tried without end",
				Fix:   fmt.Sprintf("take one of %d characters or more: openssl rand -hex 20", shortCookie),
			})
		}
	}
	if len(x.saw) == 0 {
		x.none("there is no cookie")
	}
}

func checkCookies(_ context.Context, x *exam) {
	all := x.sources()
	if len(all) == 0 {
		x.none("there is no cookie")
		return
	}
	var names, differ []string
	for _, s := range all {
		names = append(names, s.name)
		if s.cookie != all[0].cookie {
			differ = append(differ, s.name)
		}
		if slices.Contains(flagVariables, s.name) {
			x.warn(checks.Finding{
				What: "everybody on this machine can read the cookie", Saw: s.name + " has -setcookie", Cause: "it becomes a part of every node's command line",
				Fix: "put it into ~/.erlang.cookie (mode 0400) instead",
			})
		}
	}
	if len(differ) > 0 {
		x.warn(checks.Finding{
			What: "there are different cookies", Saw: all[0].name + "\ndiffers from " + strings.Join(differ, ", "),
			Cause: "a node takes the first that it finds, and releases take RELEASE_COOKIE before releases/COOKIE: nodes started in different ways refuse each other",
			Fix:   "have the same cookie everywhere, best in ~/.erlang.cookie alone",
		})
	}
	x.see("%s", strings.Join(names, ", "))
}
