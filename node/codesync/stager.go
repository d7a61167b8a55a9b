package codesync

import (
	_ "embed"
	"sync"

	"github.com/beamctl/beamctl/dist/etf"
)

//go:embed stager.term
var stagerTerm string

// stagerForms are the expressions of stager.erl as erl_eval takes them.
var stagerForms = sync.OnceValues(func() (etf.Term, error) { return etf.Parse(stagerTerm) })

// usName is the variable that the stager finds our pid in: an atom that every node has, as those of all its variables are.
const usName = etf.Atom("user")
