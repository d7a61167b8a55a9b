package doctor

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/checks"
)

var toolChecks = []*Check{
	{
		Name: "programs", Group: Tools, Start: true,
		What:  "the programs that the project is built and started with are there",
		Looks: "the nodes' PATH, with what `bin` adds to it",
		Fails: "fails when one is not on it",
		Fix:   "install it, or put its directory on PATH or into `bin`",
		boots: true, run: checkPrograms,
	},
	{
		Name: "erl", Group: Tools, Start: true,
		What:  "Erlang/OTP is there, and its version",
		Looks: "erl on PATH; releases/*/OTP_VERSION of its installation. Only where it is a shim that tells nothing it is run",
		Fails: "fails when it is older than OTP 23, with which nothing here was tried; warns when its installation cannot be made out",
		Fix:   "install OTP 25 or later",
		boots: true, run: checkErl,
	},
	{
		Name: "elixir", Group: Tools,
		What:  "Elixir and Mix are there, and their version",
		Looks: "elixir and mix on PATH; lib/elixir/ebin/elixir.app of their installation",
		Fails: "warns when only one of them is there, they are of two installations, or theirs cannot be made out",
		Fix:   "see that PATH leads to one installation",
		boots: true, run: checkElixir,
	},
	{
		Name: "rebar3", Group: Tools,
		What:  "rebar3 is there, and its version",
		Looks: "rebar3 on PATH; rebar.app inside it",
		Fails: "warns when it cannot be made out",
		Fix:   "install rebar3 again",
		boots: true, run: checkRebar,
	},
	{
		Name: "versions", Group: Tools, Start: true,
		What: "Erlang, Elixir, rebar3 and the project go together",
		Looks: "the OTP release for which Elixir and rebar3 were compiled (the compile information of a .beam file), Elixir's table of OTP releases, " +
			"`elixir:` in mix.exs, the OTP releases of nodes that have a `bin` of their own",
		Fails: "fails when Elixir or rebar3 was compiled by a later OTP than it runs on or by one more than three releases before, Elixir is too new for the OTP, mix.exs wants another Elixir, or nodes of OTP 23 and " +
			"of 26 or later are to be one cluster; only warns where the project does not use it, and when the OTP is newer than what Elixir was made for",
		Fix:   "install versions that go together",
		boots: true, run: checkVersions,
	},
}

// runs are the programs that other programs run.
var runs = map[string][]string{"mix": {"elixir", "erl"}, "elixir": {"erl"}, "iex": {"erl"}, "rebar3": {"escript", "erl"}, "erlc": {"erl"}, "escript": {"erl"}}

func checkPrograms(_ context.Context, x *exam) {
	if x.Project == nil {
		x.noProject()
		return
	}
	told := make(map[Program]bool)
	var names []string
	miss := func(p Program, cause, fix string) {
		once := Program{Name: p.Name, Path: p.Path}
		if told[once] {
			return
		}
		told[once] = true
		install := "install it"
		if pkg := debianPackages[p.Name]; pkg != "" {
			install += " (Debian: apt-get install " + pkg + ")"
		}
		x.fail(checks.Finding{
			What: p.Name + " is not on PATH", Saw: "PATH=" + p.Path, Cause: cause,
			Fix: install + ", or put its directory on PATH" + fix, Err: exec.ErrNotFound,
		})
	}
	for _, p := range x.Project.Programs {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
		if strings.ContainsRune(p.Name, '/') {
			continue // relative to where it will run, which is not known here
		}
		if _, ok := lookPath(p.Name, p.Path); !ok {
			if p.Build != "" {
				miss(p, "the project is built with it: `build` is "+p.Build, ", or say what builds it: `build` in beamctl.yaml")
			} else {
				miss(p, "the nodes of this project are started with it", "")
			}
			continue
		}
		how := "the nodes of this project are started with that"
		if p.Build != "" {
			how = "the project is built with that"
		}
		for _, other := range runs[p.Name] {
			if _, ok := lookPath(other, p.Path); !ok {
				miss(Program{Name: other, Path: p.Path}, p.Name+" runs it, and "+how, "")
			}
		}
	}
	x.see("%s", list(names))
}

// debianPackages have the programs of which that is known.
var debianPackages = map[string]string{
	"erl": "erlang", "erlc": "erlang", "escript": "erlang", "mix": "elixir", "iex": "elixir", "elixir": "elixir", "rebar3": "rebar3", "make": "make",
}

// oldestOTP is the first release whose distribution protocol this program was tried with.
const oldestOTP = 23

func checkErl(ctx context.Context, x *exam) {
	for _, path := range x.paths() {
		i, err := x.otp(ctx, path)
		switch {
		case i == nil:
			continue
		case err != nil:
			x.warn(unclear("Erlang", i, err))
		case i.otp() < oldestOTP:
			x.judge(x.Project == nil || x.starts(path, "erl", "mix", "rebar3", "elixir"), checks.Finding{
				What: fmt.Sprintf("OTP %s is too old", i.version), Saw: i.program + " in " + i.root,
				Cause: fmt.Sprintf("beamctl was tried with OTP %d and later", oldestOTP), Fix: "install OTP 25 or later",
			})
		}
		x.found("OTP", i)
	}
	if len(x.saw) == 0 && len(x.problems) == 0 {
		x.none("not on PATH; to look at nodes elsewhere none is needed")
	}
}

// found notes an installation that was made out.
func (x *exam) found(what string, i *install) {
	if i.version == "" {
		return
	}
	how := ""
	if i.asked {
		how = ", which had to be run to tell"
	}
	built := ""
	if otp := compilerOTP(i.built); otp != 0 {
		built = fmt.Sprintf(" (compiled by OTP %d)", otp)
	}
	x.see("%s %s%s in %s%s", what, i.version, built, i.root, how)
}

func unclear(what string, i *install, err error) checks.Finding {
	return checks.Finding{
		What: what + " is there, but its installation cannot be made out", Saw: i.program + "\n" + err.Error(),
		Cause: "it is a shim of a version manager with no version set, or files are missing", Fix: "see that " + i.program + " runs", Err: err,
	}
}

func checkElixir(ctx context.Context, x *exam) {
	for _, path := range x.paths() {
		elixir, err := x.elixir(ctx, path)
		mix, mixErr := x.mix(ctx, path)
		switch {
		case elixir == nil && mix == nil:
			continue
		case err != nil:
			x.warn(unclear("Elixir", elixir, err))
		case elixir == nil || mix == nil:
			has, lacks := "elixir", "mix"
			if elixir == nil {
				has, lacks = lacks, has
			}
			x.warn(checks.Finding{
				What: has + " is on PATH, and " + lacks + " is not", Saw: "PATH=" + path, Cause: "the installation is not complete, or only a part of it is on PATH",
				Fix: "put the directory that has both on PATH",
			})
		case mixErr != nil:
			x.warn(unclear("Mix", mix, mixErr))
		case mix.root != elixir.root:
			x.warn(checks.Finding{
				What: "mix and elixir on PATH are of two installations", Saw: fmt.Sprintf("mix: %s in %s\nelixir: %s in %s", mix.version, mix.root, elixir.version, elixir.root),
				Cause: "mix is run by elixir, and loads the Mix of that one", Fix: "put the directory of one before the other's on PATH",
			})
		}
		if elixir != nil {
			x.found("Elixir", elixir)
		}
	}
	if len(x.saw) == 0 && len(x.problems) == 0 {
		x.none("not on PATH; only Elixir projects need it")
	}
}

func checkRebar(_ context.Context, x *exam) {
	for _, path := range x.paths() {
		i, err := x.rebar(path)
		switch {
		case i == nil:
			continue
		case err != nil:
			x.warn(unclear("rebar3", i, err))
		}
		x.found("rebar3", i)
	}
	if len(x.saw) == 0 && len(x.problems) == 0 {
		x.none("not on PATH; only rebar3 projects need it")
	}
}

// wantsElixir finds `elixir: "~> 1.14"` in a mix.exs, where every generated project has it as a literal.
var wantsElixir = regexp.MustCompile(`(?m)^[^#\n]*\belixir:\s*"([^"]+)"`)

func checkVersions(ctx context.Context, x *exam) {
	var otps []*install
	for _, path := range x.paths() {
		otp, err := x.otp(ctx, path)
		if otp == nil || err != nil {
			continue
		}
		otps = append(otps, otp)
		x.toolsFit(ctx, path, otp)
	}
	if len(otps) == 0 {
		x.none("no Erlang to compare with")
		return
	}
	x.clusterFits(otps)
	if len(x.saw) == 0 && len(x.problems) == 0 {
		x.see("only OTP %s", otps[0].version)
	}
}

// toolsFit compares the Elixir and the rebar3 of a PATH with its OTP.
func (x *exam) toolsFit(ctx context.Context, path string, otp *install) {
	if used := x.Project == nil || x.starts(path, "mix", "elixir", "iex"); used || !x.quick {
		if elixir, err := x.elixir(ctx, path); elixir != nil && err == nil {
			if x.fits("Elixir", elixir, otp, used) {
				x.elixirFits(elixir, otp, used)
			}
			if x.starts(path, "mix") {
				x.projectFits(elixir)
			}
		}
	}
	if used := x.Project == nil || x.starts(path, "rebar3"); used || !x.quick {
		if rebar, err := x.rebar(path); rebar != nil && err == nil {
			x.fits("rebar3", rebar, otp, used)
		}
	}
}

// judge fails what is used, and warns of what only lies about.
func (x *exam) judge(used bool, f checks.Finding) {
	if used {
		x.fail(f)
	} else {
		x.warn(f)
	}
}

// oldestCode is by how many releases an OTP may be later than the one that has compiled what it is to load: of those
// four before it says nothing any more, and refuses instructions of theirs.
const oldestCode = 3

// fits compares what was compiled with what is to load it, and tells whether it can.
func (x *exam) fits(what string, i, otp *install, used bool) bool {
	built := compilerOTP(i.built)
	if built == 0 {
		return true // it does not say
	}
	f := checks.Finding{
		What: fmt.Sprintf("%s %s does not run on OTP %s", what, i.version, otp.version),
		Saw:  fmt.Sprintf("%s was compiled by OTP %d\nerl is %s", i.root, built, otp.program),
		Fix:  fmt.Sprintf("install %s for OTP %d, or OTP %d", what, otp.otp(), built),
	}
	switch {
	case built > otp.otp():
		f.Cause = "a BEAM loads no code that a later OTP has compiled"
	case built < otp.otp()-oldestCode:
		f.Cause = "a BEAM refuses code that an OTP has compiled which is more than three releases older"
	default:
		x.see("%s %s, compiled by OTP %d, on OTP %s", what, i.version, built, otp.version)
		return true
	}
	x.judge(used, f)
	return false
}

// elixirFits applies Elixir's own table.
func (x *exam) elixirFits(elixir, otp *install, used bool) {
	lo, hi, ok := otpRange(parseVersion(elixir.version))
	f := checks.Finding{
		Saw: elixir.root + "\n" + otp.root, Cause: fmt.Sprintf("it is made for OTP %d to %d", lo, hi),
		Fix: fmt.Sprintf("install OTP %d, or another Elixir", hi),
	}
	switch {
	case !ok:
	case otp.otp() < lo:
		f.What = fmt.Sprintf("Elixir %s is too new for OTP %s", elixir.version, otp.version)
		x.judge(used, f)
	case otp.otp() > hi:
		f.What = fmt.Sprintf("Elixir %s was not made for OTP %s", elixir.version, otp.version)
		x.warn(f)
	}
}

// projectFits compares Elixir with what mix.exs wants.
func (x *exam) projectFits(elixir *install) {
	m := wantsElixir.FindStringSubmatch(head(filepath.Join(x.Project.Dir, "mix.exs"), maxApp))
	if m == nil {
		return
	}
	if !parseVersion(elixir.version).meets(m[1]) {
		x.fail(checks.Finding{
			What: "the project wants another Elixir", Saw: fmt.Sprintf("mix.exs has elixir: %q; %s is %s", m[1], elixir.program, elixir.version),
			Cause: "Mix does not run it", Fix: "install an Elixir that meets it, or change mix.exs",
		})
		return
	}
	x.see("mix.exs wants %s", m[1])
}

// Releases that refuse each other: since 26 a node must have UNLINK_ID, which came with 24 (dist_util.erl).
const (
	lastWithoutUnlinkID = 23
	firstThatRequiresIt = 26
)

func (x *exam) clusterFits(otps []*install) {
	lo, hi := otps[0], otps[0]
	for _, o := range otps {
		if o.otp() < lo.otp() {
			lo = o
		}
		if o.otp() > hi.otp() {
			hi = o
		}
	}
	if lo.otp() <= lastWithoutUnlinkID && hi.otp() >= firstThatRequiresIt {
		x.fail(checks.Finding{
			What: fmt.Sprintf("nodes of OTP %s and OTP %s cannot be one cluster", lo.version, hi.version), Saw: lo.root + "\n" + hi.root,
			Cause: fmt.Sprintf("since OTP %d nodes refuse those of OTP %d and before", firstThatRequiresIt, lastWithoutUnlinkID),
			Fix:   "use releases that are at most two apart",
		})
	}
}
