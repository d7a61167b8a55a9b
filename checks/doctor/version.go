package doctor

import (
	"strconv"
	"strings"
)

// version is the numbers of a version, as many as are compared: 1.14.5 is {1, 14, 5}, 27.3.4.1 is {27, 3, 4}.
type version [3]uint

// parseVersion reads the numbers that a version begins with; what is not there is 0.
func parseVersion(text string) version {
	var v version
	for i, part := range strings.SplitN(text, ".", 4) {
		digits := strings.IndexFunc(part+" ", func(r rune) bool { return r < '0' || r > '9' })
		n, err := strconv.ParseUint(part[:digits], 10, 16)
		if err != nil || i == len(v) {
			break
		}
		v[i] = uint(n)
		if digits < len(part) { // -rc.1, -dev
			break
		}
	}
	return v
}

func (v version) compare(o version) int {
	for i := range v {
		switch {
		case v[i] < o[i]:
			return -1
		case v[i] > o[i]:
			return 1
		}
	}
	return 0
}

// meets tells whether v meets a requirement as mix.exs has it (Elixir's Version): "~> 1.14", ">= 1.14.0 and < 2.0.0".
// One that cannot be read is met: Mix will say what is wrong with it.
func (v version) meets(requirement string) bool {
	for alternative := range strings.SplitSeq(requirement, " or ") {
		all := true
		for term := range strings.SplitSeq(alternative, " and ") {
			all = all && v.meetsOne(strings.TrimSpace(term))
		}
		if all {
			return true
		}
	}
	return false
}

func (v version) meetsOne(term string) bool {
	at := strings.IndexAny(term+"0", "0123456789")
	op, text := strings.TrimSpace(term[:at]), term[at:]
	if text == "" {
		return true
	}
	o := parseVersion(text)
	switch c := v.compare(o); op {
	case "~>": // at least this, and the same but for the last number that is given
		if base, _, _ := strings.Cut(text, "-"); strings.Count(base, ".") >= 2 {
			return c >= 0 && v[0] == o[0] && v[1] == o[1]
		}
		return c >= 0 && v[0] == o[0]
	case ">=":
		return c >= 0
	case ">":
		return c > 0
	case "<=":
		return c <= 0
	case "<":
		return c < 0
	case "", "==":
		return c == 0
	case "!=":
		return c != 0
	default:
		return true
	}
}

// elixirOTP are the OTP releases that each Elixir 1.MINOR is made for (Elixir's compatibility-and-deprecations.md).
// patch: from 1.MINOR.patch on, max is one more.
var elixirOTP = map[uint]struct {
	min, max int
	patch    uint
}{
	10: {21, 22, 3},
	11: {21, 23, 4},
	12: {22, 24, 0},
	13: {22, 24, 4},
	14: {23, 25, 5},
	15: {24, 26, 0},
	16: {24, 26, 0},
	17: {25, 27, 0},
	18: {25, 27, 0},
	19: {26, 28, 0},
	20: {27, 29, 0},
}

// otpRange returns the OTP releases that a version of Elixir is made for; false: not known.
func otpRange(elixir version) (lo, hi int, ok bool) {
	r, ok := elixirOTP[elixir[1]]
	if !ok || elixir[0] != 1 {
		return 0, 0, false
	}
	if r.patch != 0 && elixir[2] >= r.patch {
		r.max++
	}
	return r.min, r.max, true
}
