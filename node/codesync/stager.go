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
