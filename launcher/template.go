package launcher

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
)

// scope is what the templates of a node can use: {{.Node}}, {{.Port "http"}}, {{join .Nodes ","}}.
type scope struct {
	Node    string   // node1
	Index   int      // from 1
	Name    string   // node1@127.0.0.1
	Host    string   // 127.0.0.1
	Cluster string   // the cluster's name
	Dir     string   // the node's own directory, where Files are
	Project string   // the project's directory
	Nodes   []string // the full names of all nodes

	port func(name string) (int, error)
}

// Port returns the node's port of that name, which is reserved for it from then on.
func (s scope) Port(name string) (int, error) { return s.port(name) }

var templateFuncs = template.FuncMap{
	"join": func(list []string, sep string) string { return strings.Join(list, sep) },
}

// errTemplate hides what text/template says of a template's text: it may hold a secret.
var errTemplate = errors.New("is no template that can be filled in")

// expand fills in one template. Most texts are none.
func (s scope) expand(text string) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	t, err := template.New("value").Option("missingkey=error").Funcs(templateFuncs).Parse(text)
	if err != nil {
		return "", fmt.Errorf("%w: %s", errTemplate, templateReason(err))
	}
	var b strings.Builder
	if err := t.Execute(&b, s); err != nil {
		var exec template.ExecError
		if errors.As(err, &exec) && errors.Is(err, ErrNoPort) {
			return "", errors.Unwrap(exec.Err)
		}
		return "", fmt.Errorf("%w: %s", errTemplate, templateReason(err))
	}
	return b.String(), nil
}

// templateReason says what is wrong in words that quote nothing of the text.
func templateReason(err error) string {
	var unknown unknownPortError
	msg := err.Error()
	switch {
	case errors.As(err, &unknown):
		return unknown.Error()
	case strings.Contains(msg, "can't evaluate field "), strings.Contains(msg, " not defined"):
		return "it asks for something that isn't there; there are .Node .Index .Name .Host .Cluster .Dir .Project .Nodes, .Port \"NAME\" and join LIST SEP"
	default:
		return "check its braces and quotes; a literal {{ is written {{\"{{\"}}"
	}
}

// unknownPortError says that a template asks for a port that nobody has declared.
type unknownPortError string

const noSuchPort = "there is no port "

func (e unknownPortError) Error() string {
	return fmt.Sprintf(noSuchPort+"%q; declare it: `ports: {%s: any}`", string(e), string(e))
}

func (s scope) list(in []string) (out []string, err error) {
	for _, text := range in {
		v, err := s.expand(text)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// launch fills in everything that is a template.
func (s scope) launch(l Launch) (Launch, error) {
	var errs []error
	list := func(in []string) []string {
		out, err := s.list(in)
		errs = append(errs, err)
		return out
	}
	values := func(in map[string]string) map[string]string {
		out := make(map[string]string, len(in))
		for k, text := range in {
			v, err := s.expand(text)
			errs = append(errs, err)
			out[k] = v
		}
		return out
	}
	l.Env, l.Command, l.Args, l.VMArgs = values(l.Env), list(l.Command), list(l.Args), list(l.VMArgs)
	l.Files = values(l.Files)
	return l, errors.Join(errs...)
}

// scope returns what n's templates can use, but for its ports and its directory.
func (s *Spec) scope(n *NodeSpec) scope {
	sc := scope{Node: n.label(), Name: n.Name, Host: n.host(), Cluster: s.Cluster, Project: s.Dir}
	for i := range s.Nodes {
		sc.Nodes = append(sc.Nodes, s.Nodes[i].Name)
		if s.Nodes[i].Name == n.Name {
			sc.Index = i + 1
		}
	}
	return sc
}

// templateFaults tries every template of n, with ports that are made up.
func (s *Spec) templateFaults(n *NodeSpec, l *Launch, prefix string) []fault {
	ports := merged(defaultPorts, l.Ports)
	sc := s.scope(n)
	sc.Dir = s.Dir
	sc.port = func(name string) (int, error) {
		if _, ok := ports[name]; !ok {
			return 0, unknownPortError(name)
		}
		return ports[name].Lo, nil
	}
	var faults []fault
	try := func(own bool, key, text string) {
		if _, err := sc.expand(text); err != nil {
			at := ""
			if own {
				at = prefix
			}
			faults = append(faults, fault{at + key, err.Error()})
		}
	}
	for _, k := range slices.Sorted(maps.Keys(l.Env)) {
		_, own := n.Env[k]
		try(own, "env."+k, l.Env[k])
	}
	for _, k := range slices.Sorted(maps.Keys(l.Files)) {
		_, own := n.Files[k]
		try(own, "files."+k, l.Files[k])
	}
	for _, list := range []struct {
		key       string
		all, mine []string
	}{{"command", l.Command, n.Command}, {"args", l.Args, n.Args}, {"vm_args", l.VMArgs, n.VMArgs}} {
		for _, text := range list.all {
			try(list.mine != nil, list.key, text)
		}
	}
	return faults
}
